// The other end of a tunnel, on the yamux of HashiCorp: docs/wire.md spoken by somebody else.
//
//	yamux server               listens on loopback, says {"port": N}, and takes one connection
//	yamux client HOST:PORT     dials
//
// Flags: -window BYTES (largest window), -cluster NAME (in the hello). Commands come as JSON, one a line, on
// standard input; each is answered by one line of JSON with the same "id". When standard input ends, so does
// the program. Lines that yamux itself logs as errors are counted and told by "state".
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// Command is what the test asks for; the fields mean what "do" makes of them.
type Command struct {
	ID      int    `json:"id"`
	Do      string `json:"do"`
	Streams int    `json:"streams"`
	Bytes   int    `json:"bytes"`
	Service string `json:"service"`
}

// Report answers a command.
type Report struct {
	ID      int            `json:"id"`
	Error   string         `json:"error,omitempty"`
	Same    int            `json:"same"`
	Refused map[string]int `json:"refused,omitempty"`
	Resets  int            `json:"resets"`
	Broken  []string       `json:"broken,omitempty"`
	Seconds float64        `json:"seconds"`
	Open    int            `json:"open"`
	Errors  []string       `json:"errors,omitempty"`
	Hello   *Hello         `json:"hello,omitempty"`
	Closed  bool           `json:"closed"`
}

// logged keeps what yamux complains about; warnings are no complaints.
type logged struct {
	mutex sync.Mutex
	lines []string
}

func (l *logged) Write(line []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if strings.Contains(string(line), "[ERR]") && len(l.lines) < 20 {
		l.lines = append(l.lines, strings.TrimSpace(string(line)))
	}
	return len(line), nil
}

func (l *logged) all() []string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return append([]string{}, l.lines...)
}

func main() {
	window := flag.Uint("window", 256*1024, "largest window of a stream, in bytes")
	cluster := flag.String("cluster", "east", "whose gateway this is")
	flag.Parse()
	complaints := &logged{}
	config := yamux.DefaultConfig()
	config.MaxStreamWindowSize = uint32(*window)
	config.EnableKeepAlive = false
	config.LogOutput = nil
	config.Logger = log.New(complaints, "", 0)
	connection, isServer, err := connected(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	peer, err := newPeer(connection, isServer, config, *cluster)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	go peer.serve()
	obey(peer, complaints)
}

func connected(arguments []string) (net.Conn, bool, error) {
	if len(arguments) == 2 && arguments[0] == "client" {
		connection, err := net.DialTimeout("tcp", arguments[1], 10*time.Second)
		return connection, false, err
	}
	if len(arguments) != 1 || arguments[0] != "server" {
		return nil, false, fmt.Errorf("usage: yamux [flags] server | client HOST:PORT")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, true, err
	}
	fmt.Printf("{\"port\": %d}\n", listener.Addr().(*net.TCPAddr).Port)
	connection, err := listener.Accept()
	return connection, true, err
}

func obey(peer *Peer, complaints *logged) {
	var mutex sync.Mutex
	out := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var command Command
		if err := json.Unmarshal(lines.Bytes(), &command); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		go func() {
			report := peer.obey(command)
			report.ID = command.ID
			report.Errors = complaints.all()
			mutex.Lock()
			defer mutex.Unlock()
			out.Encode(report)
		}()
	}
}
