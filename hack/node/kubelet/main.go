// Command kubelet is what runs on a node, in one program: kubelet and kube-proxy, each started by the first argument
// or by the name the program was called under. hack/node/build compiles it from the public modules, in the version
// of the control plane.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
)

func main() {
	name, args := filepath.Base(os.Args[0]), os.Args
	if _, known := components[name]; !known && len(os.Args) > 1 {
		name, args = os.Args[1], os.Args[1:]
	}
	run, known := components[name]
	if !known {
		fmt.Fprintln(os.Stderr, "usage: node {kubelet|kube-proxy} [flags]")
		os.Exit(2)
	}
	os.Args = args
	run()
}

var components = map[string]func(){
	"kubelet":    func() { os.Exit(cli.Run(newKubelet())) },
	"kube-proxy": func() { os.Exit(cli.Run(proxy.NewProxyCommand())) },
}
