package main

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// offered begins connections at a fixed rate, whether or not earlier ones were served: an open loop.
//
// What is served within the limit counts as an operation; the rest was refused, or was kept waiting in vain.
func offered(order Order) Result {
	var served, refused, late atomic.Int64
	var lock sync.Mutex
	var times, refusals []float64
	var fault string
	var waiting sync.WaitGroup
	attempt := func() {
		defer waiting.Done()
		started := time.Now()
		err := oneByte(order)
		took := micros(started)
		lock.Lock()
		defer lock.Unlock()
		var network net.Error
		switch {
		case err == nil:
			served.Add(1)
			times = append(times, took)
		case errors.As(err, &network) && network.Timeout():
			late.Add(1)
		default:
			refused.Add(1)
			refusals = append(refusals, took)
			if fault == "" {
				fault = err.Error()
			}
		}
	}
	spent, started := cpuSeconds(order.pids), time.Now()
	begun := 0
	for {
		since := time.Since(started)
		if since >= order.last {
			break
		}
		for due := int(since.Seconds() * order.rate); begun < due; begun++ {
			waiting.Add(1)
			go attempt()
		}
		time.Sleep(time.Millisecond)
	}
	// Only what was served by now is goodput of this time.
	result := Result{Ops: served.Load(), Begun: int64(begun), Seconds: time.Since(started).Seconds()}
	result.CPU = cpuSeconds(order.pids) - spent
	waiting.Wait()
	result.Refused, result.TimedOut, result.Fault = refused.Load(), late.Load(), fault
	result.P50, result.P99, result.Max = quantiles(times)
	_, result.RefusedP99, _ = quantiles(refusals)
	return result
}
