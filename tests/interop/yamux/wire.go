package main

import (
	"encoding/binary"
	"net"
	"sync"
)

// wire puts frames of ours between those of yamux, which has no call that resets a stream.
type wire struct {
	net.Conn
	mutex   sync.Mutex
	left    int // of the payload that yamux is about to write
	waiting []uint32
}

const headerSize = 12

// Write gets a header, or the payload of the header before it, whole: so yamux writes.
func (w *wire) Write(data []byte) (int, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.left == 0 && len(data) == headerSize && data[1] == 0 {
		w.left = int(binary.BigEndian.Uint32(data[8:]))
	} else if w.left > 0 {
		w.left -= len(data)
	}
	written, err := w.Conn.Write(data)
	if w.left == 0 {
		w.flush()
	}
	return written, err
}

// reset sends RST for a stream as soon as no frame is half written.
func (w *wire) reset(stream uint32) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.waiting = append(w.waiting, stream)
	if w.left == 0 {
		w.flush()
	}
}

func (w *wire) flush() {
	for _, stream := range w.waiting {
		frame := make([]byte, headerSize)
		frame[1], frame[3] = 1, 8 // WINDOW, RST
		binary.BigEndian.PutUint32(frame[4:], stream)
		w.Conn.Write(frame)
	}
	w.waiting = nil
}
