//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// The frame types and flags of RFC 9113 section 6 that a client needs to count answers.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8
	flagEndStream     = 0x1
	flagAck           = 0x1
	flagEndHeaders    = 0x4
)

// get is the header block of every request (RFC 7541), as literals without indexing.
var get = func() []byte {
	b := []byte{0x82, 0x87} // :method GET, :scheme https
	literal := func(index byte, value string) {
		b = append(b, index, byte(len(value)))
		b = append(b, value...)
	}
	literal(0x04, "/orders/7") // :path
	literal(0x01, "localhost") // :authority
	return b
}()

func frame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	b = append(b, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// streams keeps a number of requests in progress on one HTTP/2 connection.
func (w *world) streams(ctx context.Context, addr string, inProgress int, n *atomic.Int64) error {
	c, err := w.dial(ctx, addr, "h2", nil)
	if err != nil {
		return err
	}
	defer c.Close()
	if p := c.ConnectionState().NegotiatedProtocol; p != "h2" {
		return fmt.Errorf("the server negotiated %q instead of h2", p)
	}
	out := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	out = frame(out, frameSettings, 0, 0, nil)
	out = frame(out, frameWindowUpdate, 0, 0, []byte{0x7f, 0, 0, 0}) // effectively an unlimited window for the connection
	next := uint32(1)
	for range inProgress {
		out = frame(out, frameHeaders, flagEndStream|flagEndHeaders, next, get)
		next += 2
	}
	if _, err := c.Write(out); err != nil {
		return err
	}
	r := bufio.NewReaderSize(c, 64<<10)
	var head [9]byte
	payload := make([]byte, 16<<10)
	for out = out[:0]; ctx.Err() == nil; {
		if r.Buffered() == 0 && len(out) > 0 { // send the frames for all answers that arrived together
			if _, err := c.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if size > len(payload) {
			return errors.New("the server sent a frame above 16 KiB")
		}
		if _, err := io.ReadFull(r, payload[:size]); err != nil {
			return err
		}
		kind, flags := head[3], head[4]
		switch kind {
		case frameSettings:
			if flags&flagAck == 0 {
				out = frame(out, frameSettings, flagAck, 0, nil)
			}
		case framePing:
			out = frame(out, framePing, flagAck, 0, payload[:size])
		case frameReset, frameGoAway:
			return fmt.Errorf("frame type %d, %x", kind, payload[:size])
		case frameHeaders, frameData:
			if kind == frameHeaders && (size == 0 || payload[0]&0xe0 != 0x20 && payload[0] != 0x88) {
				return errors.New("the server's answer is not 200")
			}
			if flags&flagEndStream != 0 {
				n.Add(1)
				out = frame(out, frameHeaders, flagEndStream|flagEndHeaders, next, get)
				next += 2
			}
		}
	}
	return nil
}
