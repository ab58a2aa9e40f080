package ports_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/ports"
)

// literal returns a header field that is never indexed, whose lengths are below 64 KiB (RFC
// 7541 section 6.2.3).
func literal(name, value string) []byte {
	b := []byte{0x10}
	for _, s := range []string{name, value} {
		if n := len(s); n < 0x7f {
			b = append(b, byte(n))
		} else {
			b = append(b, 0x7f)
			for n -= 0x7f; n >= 0x80; n >>= 7 {
				b = append(b, byte(n)|0x80)
			}
			b = append(b, byte(n))
		}
		b = append(b, s...)
	}
	return b
}

// On HTTP/2 net/http enforces the limit, counted as RFC 9113 section 6.5.2 does. No handler
// gets a head that is larger as HTTP/1.1 writes it, however the fields are distributed.
// Covers H6.
func TestHeaderBytesAreExactOnHTTP2(t *testing.T) {
	t.Parallel()
	const limit = 4096
	c, _ := config(t, ports.Require)
	c.Limits.HeaderBytes = limit
	var largest atomic.Int64
	p := onSmall(t, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int64(len(r.Method) + len(r.RequestURI) + len("  HTTP/1.1\r\nHost: \r\n\r\n") + len(r.Host))
		for name, values := range r.Header {
			for _, v := range values {
				n += int64(len(name) + len(v) + len(": \r\n"))
			}
		}
		largest.Store(max(n, largest.Load()))
	}))
	pseudo := len(":methodGET") + len(":schemehttps") + len(":path/") + len(":authoritylocalhost") + 4*32
	for name, field := range map[string]struct{ name, value string }{
		"one field":     {"x", ""},
		"many fields":   {"x-a", "b"},
		"empty values":  {"x-a", ""},
		"cookie crumbs": {"cookie", "a=b"},
	} {
		for over := range 2 { // the largest that is served, and one byte more
			var block bytes.Buffer
			block.Write(getHead("/"))
			left := limit - pseudo + over
			for one := len(field.name) + len(field.value) + 32; name != "one field" && left >= 2*one+32; left -= one {
				block.Write(literal(field.name, field.value))
			}
			block.Write(literal("x", strings.Repeat("v", left-len("x")-32)))
			own := dialSmall(t, p, clientConfig(alice, h2only))
			own.SetDeadline(time.Now().Add(patience))
			frames := &framer{own}
			frames.preface()
			frames.frame(frameHeaders, flagEndStream|flagEndHeaders, 1, block.Bytes())
			served := answerStatus(t, own) == "200"
			if served != (over == 0) {
				t.Errorf("%s, %d bytes over the limit: served %v, want %v", name, over, served, (over == 0))
			}
			own.Close()
		}
	}
	if n := largest.Load(); n > limit {
		t.Errorf("a handler got %d bytes, the limit is %d", n, limit)
	}
}

// answerStatus returns the status of the first answer: 200, or 431 for every other.
func answerStatus(t *testing.T, r io.Reader) string {
	t.Helper()
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(r, head); err != nil {
			t.Fatal(err)
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(r, payload); err != nil {
			t.Fatal(err)
		}
		switch {
		case head[3] != frameHeaders:
		case payload[0] == 0x88: // :status 200 (RFC 7541 appendix A)
			return "200"
		default:
			return "431"
		}
	}
}
