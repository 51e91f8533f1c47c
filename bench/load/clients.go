package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
)

var errWrongAnswer = errors.New("the answer is not what was sent")

// begin connects, and says by one byte what is wanted.
func begin(order Order, wanted byte) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", order.addr, order.limit)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(append(order.prelude[:len(order.prelude):len(order.prelude)], wanted)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// requests sends a request on each connection, waits for the same bytes, and sends the next.
func requests(order Order) Result {
	return measure(order, func(meter *Meter, ready func()) {
		conn, err := begin(order, wantEcho)
		if err != nil {
			meter.failed(err)
			return
		}
		defer conn.Close()
		request, reply := make([]byte, order.size), make([]byte, order.size)
		var times []float64
		for number := uint64(0); ; number++ {
			if number == 1 {
				ready() // once answered, the way is open to its end
			}
			if number > 0 && (meter.over.Load() || order.count > 0 && int(number) > order.count) {
				break
			}
			binary.BigEndian.PutUint64(request, number)
			started := time.Now()
			if err := exchange(conn, request, reply, order.limit); err != nil {
				meter.failed(err)
				break
			}
			if number > 0 {
				meter.ops.Add(1)
				times = append(times, micros(started))
			}
		}
		meter.keep(times)
	})
}

func exchange(conn net.Conn, request, reply []byte, limit time.Duration) error {
	// A deadline each time would be a system call's worth of work for nothing: the kernel is not asked.
	_ = conn.SetDeadline(time.Now().Add(limit))
	if _, err := conn.Write(request); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, reply); err != nil {
		return err
	}
	if !bytes.Equal(request, reply) {
		return errWrongAnswer
	}
	return nil
}

// bulk reads from each connection what a source sends; an operation is a byte.
func bulk(order Order) Result {
	return measure(order, func(meter *Meter, ready func()) {
		conn, err := begin(order, wantSource)
		if err != nil {
			meter.failed(err)
			return
		}
		defer conn.Close()
		buffer := make([]byte, chunk)
		for first := true; !meter.over.Load(); first = false {
			_ = conn.SetReadDeadline(time.Now().Add(order.limit))
			n, err := conn.Read(buffer)
			if err != nil {
				meter.failed(err)
				return
			}
			if first {
				ready()
				continue
			}
			meter.ops.Add(int64(n))
		}
	})
}

// connections connects, waits for one byte, closes, and connects again.
func connections(order Order) Result {
	return measure(order, func(meter *Meter, ready func()) {
		ready()
		var times []float64
		for number := 0; !meter.over.Load() && (order.count == 0 || number < order.count); number++ {
			started := time.Now()
			if err := oneByte(order); err != nil {
				meter.failed(err)
				continue
			}
			meter.ops.Add(1)
			times = append(times, micros(started))
		}
		meter.keep(times)
	})
}

func oneByte(order Order) error {
	conn, err := begin(order, order.wanted)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(order.limit))
	answer := make([]byte, 1)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if answer[0] != wantOne {
		return errWrongAnswer
	}
	return nil
}
