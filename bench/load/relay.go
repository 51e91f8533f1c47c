package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	longestPacket = 1 << 16
	// Packets on the way at most, each way; a buffer that is full drops, as a router does.
	underway = 1 << 16
	// Seconds of traffic that may wait in front of a slow line.
	queueSeconds = 0.25
)

type packet struct {
	due     time.Time
	content []byte
}

// relay carries packets both ways, each `delay` late, at most `rate` Mbit/s each way.
func relay(devices string, delay time.Duration, rate float64) {
	var one, two int
	if _, err := fmt.Sscanf(devices, "%d,%d", &one, &two); err != nil {
		fmt.Fprintln(os.Stderr, "error: -devices wants two descriptors:", err)
		os.Exit(2)
	}
	go oneWay(one, two, delay, rate)
	oneWay(two, one, delay, rate)
}

func oneWay(from, to int, delay time.Duration, rate float64) {
	queue := make(chan packet, underway)
	go deliver(to, queue)
	buffer := make([]byte, longestPacket)
	var free time.Time // when the line has sent all that it was given
	for {
		n, err := syscall.Read(from, buffer)
		if err == syscall.EINTR || err == syscall.EAGAIN {
			continue
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "error: reading packets:", err)
			os.Exit(1)
		}
		now := time.Now()
		due := now
		if rate > 0 {
			if free.Before(now) {
				free = now
			}
			if free.Sub(now).Seconds() > queueSeconds {
				continue
			}
			free = free.Add(time.Duration(float64(n) * 8 / rate * float64(time.Microsecond)))
			due = free
		}
		select {
		case queue <- packet{due.Add(delay), append([]byte(nil), buffer[:n]...)}:
		default:
		}
	}
}

func deliver(to int, queue <-chan packet) {
	for next := range queue {
		time.Sleep(time.Until(next.due))
		// A device that is full drops, as a line does.
		_, _ = syscall.Write(to, next.content)
	}
}
