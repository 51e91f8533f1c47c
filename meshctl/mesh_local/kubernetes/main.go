// One binary with all programs of a Kubernetes cluster, told apart by the first argument.
//
// Built from the published modules of one Kubernetes release, for local clusters and tests. Every
// program is upstream's own command, unchanged; this file only chooses between them.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	etcd "go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	// What upstream's main packages register: the JSON log format and the metrics.
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

var servers = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kube-proxy":              proxy.NewProxyCommand,
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
}

func main() {
	if len(os.Args) < 2 {
		fail("no program named")
	}
	// From here on the arguments look as if the chosen program had been started by its own name.
	os.Args = os.Args[1:]
	switch name := os.Args[0]; name {
	case "etcd":
		etcd.Main(os.Args)
	case "kubectl":
		runKubectl()
	default:
		newCommand, known := servers[name]
		if !known {
			fail(fmt.Sprintf("no program %q", name))
		}
		os.Exit(cli.Run(newCommand()))
	}
}

// kubectl prints its errors itself, without the usage text that the servers add.
func runKubectl() {
	_, _ = logs.GlogSetter(kubectl.GetLogVerbosity(os.Args)) // plugins are looked up before flags are read
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}

func fail(what string) {
	fmt.Fprintln(os.Stderr, what+"; name one of etcd, kube-apiserver, kube-controller-manager, "+
		"kube-scheduler, kube-proxy, kubelet, kubectl")
	os.Exit(2)
}
