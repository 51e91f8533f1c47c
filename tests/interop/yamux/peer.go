package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// Hello, Opening and Answer are the messages of docs/wire.md.
type Hello struct {
	Version  int      `json:"version,omitempty"`
	Cluster  string   `json:"cluster"`
	Replica  string   `json:"replica"`
	Siblings []string `json:"siblings,omitempty"`
	Features []string `json:"features,omitempty"`
}

type Opening struct {
	ID        string `json:"id,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Service   string `json:"service,omitempty"`
	Port      int    `json:"port,omitempty"`
	Endpoint  string `json:"endpoint,omitempty"`
	Protocol  string `json:"protocol,omitempty"`
	Reserved  string `json:"reserved,omitempty"`
	Hello     *Hello `json:"hello,omitempty"`
	// A field that this version does not know: it must be skipped.
	Later map[string]int `json:"later,omitempty"`
}

type Answer struct {
	Reason string `json:"reason,omitempty"`
	Why    string `json:"why,omitempty"`
	Hello  *Hello `json:"hello,omitempty"`
}

const longest = 4096

func say(to io.Writer, message any, payload []byte) error {
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	whole := binary.BigEndian.AppendUint16(nil, uint16(len(body)))
	whole = append(append(whole, body...), payload...)
	_, err = to.Write(whole)
	return err
}

func hear(from io.Reader, message any) error {
	var size [2]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return err
	}
	length := binary.BigEndian.Uint16(size[:])
	if length < 1 || length > longest {
		return fmt.Errorf("a message of %d bytes", length)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(from, body); err != nil {
		return err
	}
	return json.Unmarshal(body, message)
}

// Peer is one end of a tunnel.
type Peer struct {
	session  *yamux.Session
	wire     *wire
	isServer bool
	own      Hello
	let      chan struct{}
	mutex    sync.Mutex
	theirs   *Hello
	cut      int // streams that were reset behind the back of yamux, which still counts them
}

func newPeer(connection net.Conn, isServer bool, config *yamux.Config, cluster string) (*Peer, error) {
	peer := &Peer{wire: &wire{Conn: connection}, isServer: isServer, let: make(chan struct{})}
	peer.own = Hello{Version: 1, Cluster: cluster, Replica: cluster + "-go", Siblings: []string{cluster + "-go"}}
	var err error
	if isServer {
		peer.session, err = yamux.Server(peer.wire, config)
	} else {
		peer.session, err = yamux.Client(peer.wire, config)
	}
	return peer, err
}

func (p *Peer) hello() *Hello {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.theirs
}

func (p *Peer) greet(hello *Hello) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.theirs = hello
}

// reset resets a stream, whatever of it has been said.
func (p *Peer) reset(stream *yamux.Stream) {
	p.wire.reset(stream.StreamID())
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.cut++
}

func (p *Peer) open() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.session.NumStreams() - p.cut
}

// serve takes the streams of the other end; what it does with one, the service's name says.
func (p *Peer) serve() {
	for {
		stream, err := p.session.AcceptStream()
		if err != nil {
			return
		}
		go p.take(stream)
	}
}

func (p *Peer) take(stream *yamux.Stream) {
	var opening Opening
	if err := hear(stream, &opening); err != nil {
		say(stream, Answer{Reason: "BadOpening", Why: err.Error()}, nil)
		stream.Close()
		return
	}
	if opening.Hello != nil {
		p.greet(opening.Hello)
		say(stream, Answer{Hello: &p.own}, nil)
		return // stays open
	}
	switch opening.Service {
	case "echo":
		say(stream, Answer{}, nil)
		io.Copy(stream, stream)
		stream.Close()
	case "digest": // hears everything, then says what it heard: half close
		say(stream, Answer{}, nil)
		digest := sha256.New()
		io.Copy(digest, stream)
		stream.Write(digest.Sum(nil))
		stream.Close()
	case "deaf": // reads nothing until "let"
		say(stream, Answer{}, nil)
		<-p.let
		io.Copy(stream, stream)
		stream.Close()
	case "first": // ends its way first, and reads on
		say(stream, Answer{}, []byte("all that I say"))
		stream.Close()
		io.Copy(io.Discard, stream)
	case "cut": // resets in the middle of what it says
		say(stream, Answer{}, nil)
		go stream.Write(make([]byte, 1<<20))
		io.ReadFull(stream, make([]byte, 1))
		p.reset(stream)
	case "vanish": // resets without an answer, which is a refusal
		p.reset(stream)
	default:
		say(stream, Answer{Reason: "NotExported", Why: "no such service: " + opening.Service}, nil)
		stream.Close()
	}
}

// obey does what a command says.
func (p *Peer) obey(command Command) Report {
	switch command.Do {
	case "hello":
		return p.sayHello()
	case "call":
		return p.call(command)
	case "ping":
		took, err := p.session.Ping()
		return Report{Seconds: took.Seconds(), Error: text(err)}
	case "go-away":
		return Report{Error: text(p.session.GoAway())}
	case "let":
		close(p.let)
		return Report{}
	case "state":
		return Report{Open: p.open(), Hello: p.hello(), Closed: p.session.IsClosed()}
	}
	return Report{Error: "an unknown command: " + command.Do}
}

func (p *Peer) sayHello() Report {
	stream, err := p.session.OpenStream()
	if err != nil {
		return Report{Error: text(err)}
	}
	var answer Answer
	say(stream, Opening{Hello: &p.own, Later: map[string]int{"x": 1}}, nil)
	if err := hear(stream, &answer); err != nil {
		return Report{Error: text(err)}
	}
	p.greet(answer.Hello)
	return Report{Hello: answer.Hello, Error: answer.Reason}
}

// call opens streams at once; each sends its payload, ends its way, and wants the same back.
func (p *Peer) call(command Command) Report {
	var all sync.WaitGroup
	var mutex sync.Mutex
	report := Report{Refused: map[string]int{}}
	began := time.Now()
	for number := range command.Streams {
		all.Add(1)
		go func() {
			defer all.Done()
			same, refused, err := p.one(command, int64(number))
			mutex.Lock()
			defer mutex.Unlock()
			switch {
			case refused != "":
				report.Refused[refused]++
			case err == yamux.ErrConnectionReset:
				report.Resets++
			case err != nil:
				report.Broken = append(report.Broken, err.Error())
			case same:
				report.Same++
			}
		}()
	}
	all.Wait()
	report.Seconds = time.Since(began).Seconds()
	return report
}

func (p *Peer) one(command Command, seed int64) (bool, string, error) {
	stream, err := p.session.OpenStream()
	if err != nil {
		return false, "", err
	}
	defer stream.Close()
	payload := make([]byte, command.Bytes)
	rand.New(rand.NewSource(seed)).Read(payload)
	asked := Opening{ID: "00000000000000aa", Namespace: "demo", Service: command.Service, Port: 80}
	wrote := make(chan error, 1)
	go func() { // early data: payload follows the opening without waiting for the answer
		err := say(stream, asked, payload)
		if err == nil {
			err = stream.Close()
		}
		wrote <- err
	}()
	var answer Answer
	if err := hear(stream, &answer); err != nil {
		return false, "", err
	}
	if answer.Reason != "" {
		return false, answer.Reason, nil
	}
	want, got := sha256.Sum256(payload), sha256.New()
	if _, err := io.Copy(got, stream); err != nil {
		return false, "", err
	}
	return string(got.Sum(nil)) == string(want[:]), "", <-wrote
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
