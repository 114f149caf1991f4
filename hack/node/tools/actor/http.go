package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// serve answers until SIGTERM; then, like most servers, it takes no new connection and ends what is under way.
func serve(args []string) {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	port := flags.Int("port", 8080, "where to listen")
	unready := flags.String("unready", "/tmp/unready", "/ready fails while this file exists")
	share := flags.Bool("share", false, "others may listen on the port too")
	_ = flags.Parse(args)
	host, _ := os.Hostname()
	image, _ := os.ReadFile("/etc/image")
	told, _ := json.Marshal(map[string]any{"host": host, "image": string(image), "env": os.Environ()})
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(told) })
	mux.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := os.Stat(*unready); err == nil {
			http.Error(w, "told not to be ready", http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() {
		<-ended()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		close(done)
	}()
	listener, err := listen(*port, *share)
	if err != nil {
		fail(err.Error())
	}
	if err := server.Serve(listener); err != http.ErrServerClosed {
		fail(err.Error())
	}
	<-done
}

// listen opens the port; with share every process that asks for it so gets a part of the connections.
func listen(port int, share bool) (net.Listener, error) {
	const reusePort = 15 // SO_REUSEPORT, which package syscall does not know
	config := net.ListenConfig{}
	if share {
		config.Control = func(_, _ string, raw syscall.RawConn) error {
			var failed error
			err := raw.Control(func(fd uintptr) {
				failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, reusePort, 1)
			})
			return errors.Join(err, failed)
		}
	}
	return config.Listen(context.Background(), "tcp", fmt.Sprintf(":%d", port))
}

// load sends requests, each on a connection of its own, until a file appears or the time is over.
func load(args []string) {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	rate := flags.Int("rate", 50, "requests a second")
	most := flags.Int("seconds", 60, "ends after this time at the latest")
	until := flags.String("until", "/tmp/stop", "ends when this file appears")
	_ = flags.Parse(args)
	if flags.NArg() != 1 {
		fail("usage: actor load [-rate N] [-seconds N] [-until FILE] URL")
	}
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
	}}
	var (
		lock   sync.Mutex
		flying sync.WaitGroup
		sent   int
		lost   = map[string]int{}
	)
	ticker := time.NewTicker(time.Second / time.Duration(*rate))
	deadline := time.After(time.Duration(*most) * time.Second)
	for running := true; running; {
		select {
		case <-deadline:
			running = false
		case <-ticker.C:
			if _, err := os.Stat(*until); err == nil {
				running = false
				break
			}
			sent++
			flying.Add(1)
			go func() {
				defer flying.Done()
				if why := ask(client, flags.Arg(0)); why != "" {
					lock.Lock()
					lost[why]++
					lock.Unlock()
				}
			}()
		}
	}
	flying.Wait()
	total := 0
	for _, count := range lost {
		total += count
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"sent": sent, "lost": total, "why": lost})
}

// ask sends one request; the answer is why it was lost.
func ask(client *http.Client, url string) string {
	answer, err := client.Get(url)
	if err != nil {
		var failed *net.OpError
		if errors.As(err, &failed) {
			return failed.Op + ": " + failed.Err.Error()
		}
		return "no whole answer in time"
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return answer.Status
	}
	return ""
}
