package middleware_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
)

// h2Conn writes HTTP/2 frames, for requests that no client library sends. It reads only the
// bodies of answers, which need no HPACK decoder.
type h2Conn struct {
	*rawConn
	stream uint32
}

// field is one header field, pseudo ones included, in the order of sending.
type field struct{ name, value string }

const (
	frameData, frameHeaders, frameReset, frameSettings, framePing, frameGoAway = 0, 1, 3, 4, 6, 7
	flagEndStream, flagEndHeaders, flagAck                                     = 1, 4, 1
)

func dialFrames(tb testing.TB, port *ports.Port, p *testpki.Pair) *h2Conn {
	tb.Helper()
	c := &h2Conn{rawConn: dialRaw(tb, port, p, "h2"), stream: 1}
	if c.ConnectionState().NegotiatedProtocol != "h2" {
		tb.Fatal("no HTTP/2")
	}
	io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	c.frame(frameSettings, 0, 0, nil)
	return c
}

func (c *h2Conn) frame(kind, flags byte, stream uint32, payload []byte) {
	c.tb.Helper()
	head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	head = binary.BigEndian.AppendUint32(head, stream)
	if _, err := c.Write(append(head, payload...)); err != nil {
		c.tb.Fatal(err)
	}
}

// literals encodes fields as literals that are never indexed (RFC 7541 section 6.2.3).
func literals(fields []field) []byte {
	var b bytes.Buffer
	for _, f := range fields {
		b.WriteByte(0x10)
		for _, s := range []string{f.name, f.value} {
			if len(s) < 0x7f {
				b.WriteByte(byte(len(s)))
			} else { // RFC 7541 section 5.1
				b.WriteByte(0x7f)
				rest := len(s) - 0x7f
				for ; rest >= 0x80; rest >>= 7 {
					b.WriteByte(byte(rest) | 0x80)
				}
				b.WriteByte(byte(rest))
			}
			b.WriteString(s)
		}
	}
	return b.Bytes()
}

// request sends a request and reads its answer. Code is 200 for an echo, the status of a
// problem document, or 0 if the stream was reset.
func (c *h2Conn) request(fields []field, body string, trailers ...field) seen {
	c.tb.Helper()
	id := c.stream
	c.stream += 2
	end := byte(flagEndStream)
	if body != "" || trailers != nil {
		end = 0
	}
	c.frame(frameHeaders, flagEndHeaders|end, id, literals(fields))
	if end == 0 {
		end = flagEndStream
		if trailers != nil {
			end = 0
		}
		c.frame(frameData, end, id, []byte(body))
		if trailers != nil {
			c.frame(frameHeaders, flagEndHeaders|flagEndStream, id, literals(trailers))
		}
	}
	return c.answer(id)
}

func (c *h2Conn) answer(id uint32) seen {
	c.tb.Helper()
	var data []byte
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(c.r, head); err != nil {
			c.tb.Fatalf("no answer: %v", err)
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(c.r, payload); err != nil {
			c.tb.Fatal(err)
		}
		kind, flags, stream := head[3], head[4], binary.BigEndian.Uint32(head[5:])&0x7fffffff
		switch {
		case kind == frameSettings && flags&flagAck == 0:
			c.frame(frameSettings, flagAck, 0, nil)
		case kind == framePing && flags&flagAck == 0:
			c.frame(framePing, flagAck, 0, payload)
		case kind == frameGoAway:
			c.tb.Fatalf("the connection ends: %q", payload)
		case stream == id && kind == frameReset:
			if len(data) == 0 {
				return seen{}
			}
			return c.decoded(data)
		case stream == id && kind == frameData:
			data = append(data, payload...)
		}
		if stream == id && (kind == frameData || kind == frameHeaders) && flags&flagEndStream != 0 {
			return c.decoded(data)
		}
	}
}

func (c *h2Conn) decoded(data []byte) seen {
	c.tb.Helper()
	s := seen{Body: string(data)}
	if len(data) > 0 && data[0] != '{' {
		s.Code = 500
		return s
	}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &s); err != nil {
			c.tb.Fatalf("the answer %q is not JSON: %v", data, err)
		}
	}
	if s.Code = s.Status; s.Code == 0 {
		s.Code = 200
	}
	return s
}

// send makes a request with this method and path.
func (c *h2Conn) send(method, path string, more ...field) seen {
	c.tb.Helper()
	return c.request(append([]field{{":method", method}, {":scheme", "https"}, {":path", path}, {":authority", "localhost"}}, more...), "")
}
