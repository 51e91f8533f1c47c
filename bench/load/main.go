// Load for the gateway's benchmark: the server behind the gateways, its clients, and a slow network.
//
//	load -mode server -addr HOST:PORT     answers; what it does is chosen by a connection's first byte
//	load -mode rr|bulk|conn|offer ...     measures, and writes one line of JSON
//	load -mode idle|stall ...             opens connections, writes a line, and holds them until stdin ends
//	load -mode relay -devices 3,4 ...     carries packets between the TUN devices of these descriptors
//
// Times are of the monotonic clock. Every error is counted; none ends a measurement.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// Order is what was asked for on the command line.
type Order struct {
	addr    string
	number  int
	last    time.Duration
	size    int
	count   int
	rate    float64
	limit   time.Duration
	prelude []byte
	wanted  byte
	pids    []string
}

func main() {
	mode := flag.String("mode", "", "server, rr, bulk, conn, offer, idle, stall or relay")
	addr := flag.String("addr", "", "host:port to listen on or to connect to")
	number := flag.Int("n", 1, "connections at a time")
	last := flag.Duration("d", 4*time.Second, "how long to measure")
	size := flag.Int("size", 128, "bytes of a request; of what a stalled stream offers")
	count := flag.Int("count", 0, "operations of each connection at most; 0: no limit")
	rate := flag.Float64("rate", 0, "connections offered a second; of a relay, Mbit/s each way, 0: no limit")
	limit := flag.Duration("limit", 5*time.Second, "how long to wait for one answer")
	hello := flag.String("hello", "", "begin each connection with a TLS ClientHello for this name")
	alpn := flag.String("alpn", "", "the protocol that the ClientHello offers")
	slow := flag.Bool("slow", false, "of conn and offer: the answer takes 100 ms")
	pids := flag.String("pids", "", "processes whose CPU time is counted, by commas")
	delay := flag.Duration("delay", 0, "of a relay, each way")
	devices := flag.String("devices", "", "descriptors of a relay's two TUN devices, by a comma")
	flag.Parse()
	order := Order{
		addr: *addr, number: *number, last: *last, size: *size, count: *count, rate: *rate, limit: *limit,
		prelude: helloFor(*hello, *alpn),
	}
	if order.wanted = wantOne; *slow {
		order.wanted = wantLate
	}
	if *pids != "" {
		order.pids = strings.Split(*pids, ",")
	}
	allowManyFiles()
	switch *mode {
	case "server":
		serve(*addr)
	case "rr":
		say(requests(order))
	case "bulk":
		say(bulk(order))
	case "conn":
		say(connections(order))
	case "offer":
		say(offered(order))
	case "idle":
		hold(order, false)
	case "stall":
		hold(order, true)
	case "relay":
		relay(*devices, *delay, *rate)
	default:
		fmt.Fprintln(os.Stderr, "error: no such mode; see the head of main.go")
		os.Exit(2)
	}
}

// allowManyFiles raises the limit of open files as far as is allowed: ten thousand connections are held.
func allowManyFiles() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}
