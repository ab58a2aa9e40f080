package ports_test

import (
	"encoding/binary"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
)

// framer writes frames of HTTP/2 (RFC 9113 section 4.1) by hand.
type framer struct{ w io.Writer }

// The types and flags of the tests.
const (
	frameData, frameHeaders, frameReset, frameSettings, framePing, frameWindow, frameContinuation = 0, 1, 3, 4, 6, 8, 9

	flagEndStream, flagEndHeaders = 1, 4
)

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := append(make([]byte, 0, 9+len(payload)), byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

func (f *framer) frame(kind, flags byte, stream uint32, payload []byte) error {
	_, err := f.w.Write(frame(kind, flags, stream, payload))
	return err
}

type setting struct {
	id    uint16
	value uint32
}

func (f *framer) preface(settings ...setting) {
	var payload []byte
	for _, s := range settings {
		payload = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(payload, s.id), s.value)
	}
	io.WriteString(f.w, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	f.frame(frameSettings, 0, 0, payload)
}

func (f *framer) windowUpdate(stream, by uint32) {
	f.frame(frameWindow, 0, stream, binary.BigEndian.AppendUint32(nil, by))
}

// getHead returns the header block of a GET (RFC 7541 appendix A: :method GET, :scheme
// https, then :path and :authority as literals).
func getHead(path string) []byte {
	b := append([]byte{0x82, 0x87, 0x04, byte(len(path))}, path...)
	return append(append(b, 0x01, byte(len("localhost"))), "localhost"...)
}

func (f *framer) request(stream uint32, path string, end bool) error {
	flags := byte(flagEndHeaders)
	if end {
		flags |= flagEndStream
	}
	return f.frame(frameHeaders, flags, stream, getHead(path))
}

// flooded is a port whose handler counts, and for /slow blocks until release is closed.
type flooded struct {
	port         *ports.Port
	inside, most atomic.Int64
	release      chan struct{}
}

const someStreams = 20

func newFlooded(t *testing.T) *flooded {
	t.Helper()
	f := &flooded{release: make(chan struct{})}
	c, _ := config(t, ports.Require)
	c.Limits.Streams = someStreams
	c.Limits.Idle = 1500 * time.Millisecond
	f.port = onSmall(t, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := f.inside.Add(1)
		defer f.inside.Add(-1)
		for old := f.most.Load(); n > old && !f.most.CompareAndSwap(old, n); old = f.most.Load() {
		}
		if r.URL.Path == "/slow" {
			<-f.release // also after the stream has ended
		}
		echoCaller(w, r)
	}))
	t.Cleanup(func() { close(f.release) })
	return f
}

// bounded calls send until the connection ends or times is reached. Meanwhile another
// client must be served and the heap must not grow.
func (f *flooded) bounded(t *testing.T, what string, own *caller, times int, send func(i int) error) {
	t.Helper()
	before := heapNow()
	own.SetWriteDeadline(time.Now().Add(patience))
	for i := range times {
		if send(i) != nil {
			break
		}
	}
	if body, _, err := dialAndGet(t, f.port, clientConfig(bob)); err != nil || body != "require bob HTTP/2.0" {
		t.Errorf("%s: another client: %q, %v", what, body, err)
	}
	if grown := int64(heapNow()) - int64(before); grown > 32<<20 {
		t.Errorf("%s: the heap has grown by %d KiB", what, grown>>10)
	}
	if n := f.most.Load(); n > someStreams+1 { // the handler of the other client too
		t.Errorf("%s: %d handlers at one time, at most %d are allowed", what, n, someStreams)
	}
}

// Covers H7.
func TestRapidResetIsBounded(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	cancel := binary.BigEndian.AppendUint32(nil, 8)
	atOnce(map[string]string{"slow": "/slow", "fast": "/"}, func(name, path string) {
		f := newFlooded(t)
		own := dialSmall(t, f.port, clientConfig(alice, h2only))
		frames := &framer{own}
		frames.preface()
		own.reading()
		f.bounded(t, name, own, 5000, func(i int) error {
			stream := uint32(2*i + 1)
			head := frame(frameHeaders, flagEndHeaders|flagEndStream, stream, getHead(path))
			_, err := own.Write(append(head, frame(frameReset, 0, stream, cancel)...))
			return err
		})
		if path == "/slow" {
			own.ends(t) // else handlers that run on after their reset would accumulate
		}
	})
}

// The client makes the server reset: it opens each stream correctly and breaks it with a
// frame that ends only that stream (MadeYouReset).
// Covers H7.
func TestMadeYouResetIsBounded(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	atOnce(map[string]func(stream uint32) []byte{
		"window of zero":        func(s uint32) []byte { return frame(frameWindow, 0, s, []byte{0, 0, 0, 0}) },
		"window too wide":       func(s uint32) []byte { return frame(frameWindow, 0, s, []byte{0x7f, 0xff, 0xff, 0xff}) },
		"data after the end":    func(s uint32) []byte { return frame(frameData, 0, s, []byte("x")) },
		"headers in the stream": func(s uint32) []byte { return frame(frameHeaders, flagEndHeaders, s, getHead("/")) },
	}, func(name string, breaks func(stream uint32) []byte) {
		f := newFlooded(t)
		own := dialSmall(t, f.port, clientConfig(alice, h2only))
		frames := &framer{own}
		frames.preface()
		own.reading()
		f.bounded(t, name, own, 5000, func(i int) error {
			stream := uint32(2*i + 1)
			head := frame(frameHeaders, flagEndHeaders|flagEndStream, stream, getHead("/slow"))
			_, err := own.Write(append(head, breaks(stream)...))
			return err
		})
		own.ends(t)
	})
}

// More streams than were announced, none of them reset.
// Covers H7.
func TestStreamsBeyondTheLimitStartNoHandler(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	f := newFlooded(t)
	own := dialSmall(t, f.port, clientConfig(alice, h2only))
	frames := &framer{own}
	frames.preface()
	own.reading()
	f.bounded(t, "streams", own, 2000, func(i int) error { return frames.request(uint32(2*i+1), "/slow", true) })
	if n := f.inside.Load(); n > someStreams {
		t.Errorf("%d handlers", n)
	}
}

// A header block that never ends.
// Covers H7.
func TestContinuationFloodIsBounded(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	atOnce(map[string][]byte{
		"nothing":          {},
		"small fields":     []byte("\x00\x01a\x01b\x00\x01a\x01b"),
		"one large field":  append([]byte("\x00\x01a\x7f\xff\xff\xff\x00"), make([]byte, 16000)...), // longer than any limit
		"many large ones":  append([]byte("\x00\x01a\x7f\x81\x7c"), make([]byte, 16000)...),
		"bytes of a table": {0x82},
	}, func(name string, block []byte) {
		f := newFlooded(t)
		own := dialSmall(t, f.port, clientConfig(alice, h2only))
		frames := &framer{own}
		frames.preface()
		own.reading()
		frames.frame(frameHeaders, flagEndStream, 1, getHead("/"))
		f.bounded(t, name, own, 20_000, func(int) error { return frames.frame(frameContinuation, 0, 1, block) })
		own.ends(t) // at the latest as idle: it never becomes a request
	})
}

// Frames that each require an answer from the server, and a client that reads no answer:
// the queue of answers is bounded.
// Covers H7.
func TestUnreadControlAnswersAreBounded(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	atOnce(map[string][]byte{
		"PING":             frame(framePing, 0, 0, make([]byte, 8)),
		"SETTINGS":         frame(frameSettings, 0, 0, nil),
		"SETTINGS changed": frame(frameSettings, 0, 0, []byte{0, 4, 0, 1, 0, 0, 0, 1, 0, 0, 0x10, 0}),
	}, func(name string, frame []byte) {
		times := 100 // SETTINGS are answered by one frame, however many there are
		if name == "PING" {
			times = 2000
		}
		f := newFlooded(t)
		own := dialSmall(t, f.port, clientConfig(alice, h2only))
		(&framer{own}).preface()
		many := make([]byte, 0, 100*len(frame))
		for range 100 {
			many = append(many, frame...)
		}
		f.bounded(t, name, own, times, func(int) error { _, err := own.Write(many); return err })
		if name == "PING" {
			own.reading()
			own.ends(t)
		}
	})
}

// The same with a client that reads the answers: the connection goes on and takes no memory.
// Covers H7.
func TestControlFramesCostNoMemory(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	atOnce(map[string][]byte{
		"PING":     frame(framePing, 0, 0, make([]byte, 8)),
		"SETTINGS": frame(frameSettings, 0, 0, nil),
		"unknown":  frame(0x77, 0, 0, []byte("x")),
		"priority": frame(2, 0, 1, []byte{0, 0, 0, 0, 7}),
	}, func(name string, frame []byte) {
		f := newFlooded(t)
		own := dialSmall(t, f.port, clientConfig(alice, h2only))
		(&framer{own}).preface()
		own.reading()
		f.bounded(t, name, own, 5000, func(int) error { _, err := own.Write(frame); return err })
	})
}
