package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// maker makes images of a busybox, the actor and a file that names the image.
type maker struct{ base v1.Layer }

func newMaker(busybox, actor string) (*maker, error) {
	applets, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return nil, err
	}
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	for _, dir := range []string{"bin/", "etc/", "tmp/", "data/"} {
		if err := archive.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o1777}); err != nil {
			return nil, err
		}
	}
	for to, from := range map[string]string{"bin/busybox": busybox, "bin/actor": actor} {
		content, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		if err := add(archive, to, 0o755, content); err != nil {
			return nil, err
		}
	}
	for _, applet := range strings.Fields(string(applets)) {
		if applet == "busybox" {
			continue
		}
		link := &tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}
		if err := archive.WriteHeader(link); err != nil {
			return nil, err
		}
	}
	if err := add(archive, "etc/passwd", 0o644, []byte("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")); err != nil {
		return nil, err
	}
	base, err := layer(archive, &files)
	return &maker{base}, err
}

// image makes NAME:TAG. Every image has its own content, and so its own ID, but for tags that begin with "same".
func (m *maker) image(repository, tag string) (v1.Image, error) {
	said := repository + ":" + tag
	if strings.HasPrefix(tag, "same") {
		said = repository
	}
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	if err := add(archive, "etc/image", 0o644, []byte(said)); err != nil {
		return nil, err
	}
	own, err := layer(archive, &files)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, m.base, own)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", "amd64"
	file.Config.Env = []string{"PATH=/bin", "IMAGE_TAG=" + tag}
	file.Config.Cmd = []string{"/bin/actor", "as", tag}
	if strings.HasPrefix(tag, "same") {
		file.Config.Env = file.Config.Env[:1]
		file.Config.Cmd = []string{"/bin/actor", "as", "same"}
	}
	return mutate.ConfigFile(image, file)
}

func add(archive *tar.Writer, path string, mode int64, content []byte) error {
	header := &tar.Header{Name: path, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(content))}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}

func layer(archive *tar.Writer, files *bytes.Buffer) (v1.Layer, error) {
	if err := archive.Close(); err != nil {
		return nil, err
	}
	content := files.Bytes()
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	})
}

func push(busybox, actor string, images []string) error {
	maker, err := newMaker(busybox, actor)
	if err != nil {
		return err
	}
	for _, text := range images {
		reference, err := name.NewTag(text)
		if err != nil {
			return err
		}
		image, err := maker.image(reference.RepositoryStr(), reference.TagStr())
		if err != nil {
			return err
		}
		if err := remote.Write(reference, image); err != nil {
			return err
		}
	}
	return nil
}

// load writes the one image of an OCI layout as it is, so that it keeps its digest.
func load(directory, text string) error {
	index, err := layout.ImageIndexFromPath(directory)
	if err != nil {
		return err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	if len(manifest.Manifests) != 1 {
		return fmt.Errorf("%s: %d images, one is wanted", directory, len(manifest.Manifests))
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		return err
	}
	reference, err := name.NewTag(text, name.Insecure)
	if err != nil {
		return err
	}
	return remote.Write(reference, image)
}
