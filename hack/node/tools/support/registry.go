package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// onDemand is a registry in which every image is there as soon as somebody asks for it, with two exceptions by tag:
//
//	fail-pull…     is not there, and never will be
//	slow-pull-N…   is there, and every answer about the tag takes N seconds
//
// What was written to it under a name stays what it is.
type onDemand struct {
	stored http.Handler
	maker  *maker
	inner  string // address of stored, to push to
	lock   sync.Mutex
	made   map[string]bool
}

var manifest = regexp.MustCompile(`^/v2/(.+)/manifests/([A-Za-z0-9_][A-Za-z0-9._-]*)$`)

func (r *onDemand) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if written := manifest.FindStringSubmatch(request.URL.Path); written != nil && request.Method == http.MethodPut {
		r.lock.Lock()
		r.made[written[1]+":"+written[2]] = true
		r.lock.Unlock()
	}
	reading := request.Method == http.MethodGet || request.Method == http.MethodHead
	if asked := manifest.FindStringSubmatch(request.URL.Path); reading && asked != nil {
		repository, tag := asked[1], asked[2]
		if seconds, slow := delay(tag); slow {
			select {
			case <-time.After(seconds):
			case <-request.Context().Done():
				return
			}
		}
		if !strings.HasPrefix(tag, "fail-pull") {
			if err := r.make(repository, tag); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
	}
	r.stored.ServeHTTP(w, request)
}

// delay reads slow-pull-N.
func delay(tag string) (time.Duration, bool) {
	rest, found := strings.CutPrefix(tag, "slow-pull-")
	if !found {
		return 0, false
	}
	digits, _, _ := strings.Cut(rest, "-")
	seconds, err := strconv.Atoi(digits)
	return time.Duration(seconds) * time.Second, err == nil
}

func (r *onDemand) make(repository, tag string) error {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.made[repository+":"+tag] {
		return nil
	}
	reference, err := name.NewTag(r.inner+"/"+repository+":"+tag, name.Insecure)
	if err != nil {
		return err
	}
	image, err := r.maker.image(repository, tag)
	if err != nil {
		return err
	}
	if err := remote.Write(reference, image); err != nil {
		return err
	}
	r.made[repository+":"+tag] = true
	return nil
}

func serveRegistry(address, busybox, actor string) error {
	maker, err := newMaker(busybox, actor)
	if err != nil {
		return err
	}
	stored := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { log.Fatal(http.Serve(inner, stored)) }()
	outer := &onDemand{stored: stored, maker: maker, inner: inner.Addr().String(), made: map[string]bool{}}
	return http.ListenAndServe(address, outer)
}
