package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// What a client asks for with its first byte.
const (
	wantEcho    = 'E'
	wantSource  = 'S' // bytes without end
	wantSink    = 'K' // reads and forgets
	wantOne     = 'C' // one byte, then the end
	wantLate    = 'L' // the same after a while
	wantNothing = 'N' // never reads again
)

const (
	late  = 100 * time.Millisecond
	chunk = 1 << 18
	// So long a connection is kept that nobody reads: nothing tells us that its other end has gone.
	unread = 10 * time.Minute
	// The first byte of a TLS record that carries a handshake; see helloFor.
	handshakeRecord = 0x16
)

func serve(addr string) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	for {
		conn, err := listener.Accept()
		if err == nil {
			go answer(conn)
		}
	}
}

func answer(conn net.Conn) {
	defer conn.Close()
	wanted, err := wish(conn)
	if err != nil {
		return
	}
	switch wanted {
	case wantEcho:
		echo(conn)
	case wantSource:
		buffer := make([]byte, chunk)
		for err == nil {
			_, err = conn.Write(buffer)
		}
	case wantSink:
		_, _ = io.Copy(io.Discard, conn)
	case wantOne:
		_, _ = conn.Write([]byte{wantOne})
	case wantLate:
		time.Sleep(late)
		_, _ = conn.Write([]byte{wantOne})
	case wantNothing:
		time.Sleep(unread)
	}
}

// wish is the first byte, after a ClientHello if there is one.
func wish(conn net.Conn) (byte, error) {
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		return 0, err
	}
	if first[0] != handshakeRecord {
		return first[0], nil
	}
	rest := make([]byte, 4)
	if _, err := io.ReadFull(conn, rest); err != nil {
		return 0, err
	}
	if _, err := io.CopyN(io.Discard, conn, int64(rest[2])<<8|int64(rest[3])); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(conn, first)
	return first[0], err
}

// echo begins with a small buffer: ten thousand idle connections are measured, and this is not who is.
func echo(conn net.Conn) {
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return
		}
		if n == len(buffer) && n < chunk {
			buffer = make([]byte, chunk)
		}
	}
}
