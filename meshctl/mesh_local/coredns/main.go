// CoreDNS with its own list of plugins, among them the kubernetes plugin's `multicluster`.
package main

import (
	_ "github.com/coredns/coredns/core/plugin"
	"github.com/coredns/coredns/coremain"
)

func main() { coremain.Run() }
