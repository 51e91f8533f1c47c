package main

import (
	"encoding/json"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Result is one line of output. Times of operations are microseconds; CPU is that of the processes named.
type Result struct {
	Ops     int64   `json:"ops"`
	Errors  int64   `json:"errors"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_s"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	Max     float64 `json:"max_us"`
	Fault   string  `json:"fault"`
	// Of what was offered and refused, and of connections that are held.
	Begun      int64   `json:"begun"`
	Refused    int64   `json:"refused"`
	TimedOut   int64   `json:"timed_out"`
	RefusedP99 float64 `json:"refused_p99_us"`
	Held       int64   `json:"held"`
}

// patience is how long we wait for operations that are still going on when the time is over.
const patience = 6 * time.Second

// Meter counts what workers do between start and stop.
type Meter struct {
	ops, errors atomic.Int64
	begun       chan struct{}
	over        atomic.Bool
	lock        sync.Mutex
	times       []float64
	fault       string
	ready, done sync.WaitGroup
}

// failed counts an error and keeps the first one's text.
func (m *Meter) failed(err error) {
	if m.over.Load() {
		return
	}
	m.errors.Add(1)
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.fault == "" {
		m.fault = err.Error()
	}
}

func (m *Meter) keep(times []float64) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.times = append(m.times, times...)
}

// measure runs workers. Each gets ready, waits for `begun`, works until `over`, and gives its times to `keep`.
func measure(order Order, work func(*Meter, func())) Result {
	meter := &Meter{begun: make(chan struct{})}
	meter.ready.Add(order.number)
	meter.done.Add(order.number)
	for range order.number {
		go func() {
			defer meter.done.Done()
			var once sync.Once
			ready := func() { once.Do(func() { meter.ready.Done(); <-meter.begun }) }
			defer ready()
			work(meter, ready)
		}()
	}
	meter.ready.Wait()
	meter.ops.Store(0)
	spent, started := cpuSeconds(order.pids), time.Now()
	close(meter.begun)
	finished := make(chan struct{})
	go func() { meter.done.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-time.After(order.last):
	}
	meter.over.Store(true)
	result := Result{Ops: meter.ops.Load(), Seconds: time.Since(started).Seconds()}
	result.CPU = cpuSeconds(order.pids) - spent
	select {
	case <-finished:
	case <-time.After(patience):
	}
	meter.lock.Lock()
	defer meter.lock.Unlock()
	result.Errors, result.Fault = meter.errors.Load(), meter.fault
	result.P50, result.P99, result.Max = quantiles(meter.times)
	return result
}

// quantiles are the median, the 99th percentile by nearest rank, and the greatest; sorts in place.
func quantiles(times []float64) (p50, p99, greatest float64) {
	if len(times) == 0 {
		return 0, 0, 0
	}
	sort.Float64s(times)
	rank := func(percent int) float64 { return times[(len(times)*percent+99)/100-1] }
	return rank(50), rank(99), times[len(times)-1]
}

func micros(since time.Time) float64 {
	return float64(time.Since(since).Nanoseconds()) / 1000
}

// cpuSeconds is the user and system time of these processes, in ticks of 10 ms as /proc has it.
func cpuSeconds(pids []string) float64 {
	ticks := 0
	for _, pid := range pids {
		content, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			continue
		}
		text := string(content)
		fields := strings.Fields(text[strings.LastIndex(text, ")")+1:])
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		ticks += user + system
	}
	return float64(ticks) / 100
}

func say(result Result) {
	_ = json.NewEncoder(os.Stdout).Encode(result)
}
