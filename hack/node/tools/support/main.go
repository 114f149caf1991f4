// Command support is what real nodes need around them: a registry that makes its images on demand, and a way to the API
// server, which listens on loopback only.
//
//	support registry ADDRESS BUSYBOX ACTOR       serves images of every name and tag, as described in image.go
//	support push BUSYBOX ACTOR NAME:TAG...       writes the same images to a registry elsewhere
//	support load LAYOUT NAME:TAG                 writes the image of an OCI layout, a directory, to a registry
//	support forward ADDRESS TARGET               every connection to ADDRESS goes to TARGET
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "support:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 4 && args[0] == "registry":
		return serveRegistry(args[1], args[2], args[3])
	case len(args) >= 4 && args[0] == "push":
		return push(args[1], args[2], args[3:])
	case len(args) == 3 && args[0] == "load":
		return load(args[1], args[2])
	case len(args) == 3 && args[0] == "forward":
		return forward(args[1], args[2])
	}
	return fmt.Errorf("usage: support {registry ADDRESS BUSYBOX ACTOR | push BUSYBOX ACTOR NAME:TAG... | load LAYOUT NAME:TAG | forward ADDRESS TARGET}")
}

func forward(address, target string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		near, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer near.Close()
			far, err := net.Dial("tcp", target)
			if err != nil {
				return
			}
			defer far.Close()
			go func() {
				_, _ = io.Copy(far, near)
				_ = far.(*net.TCPConn).CloseWrite()
			}()
			_, _ = io.Copy(near, far)
		}()
	}
}
