// Command actor is the program in every test image: it plays what a container does, as told by its arguments or, in an
// image that is run as it is, by the image's tag.
//
//	actor as TAG             what a tag of this name stands for: crash…, exit-N, twin…, else wait for SIGTERM
//	actor serve [FLAGS]      HTTP on a port: / tells of the container, /ready follows a file
//	actor load [FLAGS] URL   requests at a steady rate; prints how many were lost
//	actor eat MIB            takes memory, and waits
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) < 2 {
		fail("usage: actor {as TAG|serve|load|eat} …")
	}
	args := os.Args[2:]
	switch os.Args[1] {
	case "as":
		as(strings.Join(args, " "))
	case "serve":
		serve(args)
	case "load":
		load(args)
	case "eat":
		eat(args)
	default:
		fail("no act: " + os.Args[1])
	}
}

func as(tag string) {
	if strings.HasPrefix(tag, "crash") {
		fail("crashing as asked for")
	}
	if rest, found := strings.CutPrefix(tag, "exit-"); found {
		digits, _, _ := strings.Cut(rest, "-")
		if code, err := strconv.Atoi(digits); err == nil {
			os.Exit(code)
		}
	}
	if strings.HasPrefix(tag, "twin") {
		serve([]string{"-port", "8090", "-share"})
		return
	}
	<-ended()
}

// ended is told of the first request to end.
func ended() <-chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	return signals
}

func eat(args []string) {
	if len(args) != 1 {
		fail("usage: actor eat MIB")
	}
	mib, err := strconv.Atoi(args[0])
	if err != nil {
		fail(err.Error())
	}
	var kept [][]byte
	for range mib {
		block := make([]byte, 1<<20)
		for at := 0; at < len(block); at += 4096 {
			block[at] = 1 // memory that is not written to is not taken
		}
		kept = append(kept, block)
	}
	fmt.Println("took", len(kept), "MiB")
	<-ended()
}

func fail(text string) {
	fmt.Fprintln(os.Stderr, "actor:", text)
	os.Exit(1)
}
