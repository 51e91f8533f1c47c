package main

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Connections that are opened at a time: a ramp, not a storm.
	ramp = 64
	// How long a stalled stream tries to send when nobody takes anything.
	pushing = 2 * time.Second
	// So many connections that fail say that there will be no more: each may wait as long as order.limit.
	enough = 100
)

// hold opens connections, writes a line, waits for the end of stdin, and writes how many still answer.
//
// Stalled ones each offer `size` bytes to a server that never reads, and are not asked again.
func hold(order Order, stalled bool) {
	var lock sync.Mutex
	var held []net.Conn
	var failed atomic.Int64
	var fault string
	started := time.Now()
	each(order.number, func(int) {
		if failed.Load() >= enough {
			failed.Add(1)
			return
		}
		conn, err := opened(order, stalled)
		lock.Lock()
		defer lock.Unlock()
		if err != nil {
			failed.Add(1)
			fault = err.Error()
			return
		}
		held = append(held, conn)
	})
	result := Result{Held: int64(len(held)), Errors: failed.Load(), Fault: fault}
	result.Seconds = time.Since(started).Seconds()
	say(result)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if !stalled {
		each(len(held), func(number int) {
			if exchange(held[number], []byte("alive"), make([]byte, 5), order.limit) == nil {
				return
			}
			failed.Add(1)
		})
	}
	result.Errors = failed.Load()
	result.Held = int64(order.number) - result.Errors
	say(result)
}

func opened(order Order, stalled bool) (net.Conn, error) {
	if !stalled {
		conn, err := begin(order, wantEcho)
		if err != nil {
			return nil, err
		}
		return conn, exchange(conn, []byte("first"), make([]byte, 5), order.limit)
	}
	conn, err := begin(order, wantNothing)
	if err != nil {
		return nil, err
	}
	go func() {
		_ = conn.SetWriteDeadline(time.Now().Add(pushing))
		_, _ = conn.Write(make([]byte, order.size))
	}()
	return conn, nil
}

// each calls work for 0 to number-1, `ramp` at a time.
func each(number int, work func(int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(ramp, number) {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := int(next.Add(1)) - 1; i < number; i = int(next.Add(1)) - 1 {
				work(i)
			}
		}()
	}
	group.Wait()
}
