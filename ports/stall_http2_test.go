package ports_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/ports"
)

const (
	settingInitialWindow = 4
	wide                 = 1<<31 - 1
)

// Covers H15. If an HTTP/2 client stops sending, reading or granting windows at any point, its
// streams, their handlers and the connection end.
func TestStalledHTTP2ClientIsClosed(t *testing.T) {
	noWindow := setting{settingInitialWindow, 0}
	requests := func(path string, settings ...setting) func(*attacker) {
		return func(a *attacker) { a.preface(settings...); a.request(1, path, true) }
	}
	// keeps sends a frame again and again, after the attack of and.
	keeps := func(f []byte, every time.Duration, first func(*attacker)) func(*attacker) {
		return func(a *attacker) {
			first(a)
			a.forever(every, func() error { _, err := a.caller.Write(f); return err })
		}
	}
	alone := func(a *attacker) { a.preface() }
	ping := frame(framePing, 0, 0, make([]byte, 8))
	window := func(stream uint32) []byte { return frame(frameWindow, 0, stream, []byte{0, 0, 0, 1}) }
	stalls := map[string]stall{
		"silence":                    {attack: func(*attacker) {}},
		"half a preface":             {attack: func(a *attacker) { io.WriteString(a.caller, "PRI * HTT") }},
		"a preface without SETTINGS": {attack: func(a *attacker) { io.WriteString(a.caller, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") }, reads: true},
		"SETTINGS, then silence":     {attack: alone, reads: true},
		"a frame's header byte by byte": {attack: func(a *attacker) {
			a.preface()
			a.drip(200*time.Millisecond, frame(frameHeaders, flagEndHeaders, 1, make([]byte, 1000)))
		}, reads: true},
		"HEADERS without END_HEADERS":    {attack: func(a *attacker) { a.preface(); a.frame(frameHeaders, 0, 1, getHead("/small")) }, reads: true},
		"CONTINUATION again and again":   {attack: keeps(frame(frameContinuation, 0, 1, []byte{}), 200*time.Millisecond, func(a *attacker) { a.preface(); a.frame(frameHeaders, 0, 1, getHead("/small")) }), reads: true},
		"only PING":                      {attack: keeps(ping, 50*time.Millisecond, alone), reads: true},
		"only SETTINGS":                  {attack: keeps(frame(frameSettings, 0, 0, nil), 50*time.Millisecond, alone), reads: true},
		"only PRIORITY":                  {attack: keeps(frame(2, 0, 1, []byte{0, 0, 0, 0, 7}), 50*time.Millisecond, alone), reads: true},
		"only WINDOW_UPDATE":             {attack: keeps(window(0), 50*time.Millisecond, alone), reads: true},
		"only frames of an unknown kind": {attack: keeps(frame(0x77, 0, 0, nil), 50*time.Millisecond, alone), reads: true},
		"no window, 3 bytes":             {attack: requests("/small", noWindow), reads: true},
		"no window, 3 bytes, late":       {attack: requests("/late", noWindow), reads: true},
		"no window, trailers":            {attack: requests("/trailer", noWindow), reads: true},
		"no window, one large Write":     {attack: requests("/large", noWindow), reads: true},
		"no window, io.Copy":             {attack: requests("/copy", noWindow), reads: true},
		"no window, Flush":               {attack: requests("/flush", noWindow), reads: true},
		"no window, with PING":           {attack: keeps(ping, 50*time.Millisecond, requests("/small", noWindow)), reads: true},
		"no window of the connection":    {attack: requests("/large", setting{settingInitialWindow, wide}), reads: true},
		"the window becomes negative": {attack: func(a *attacker) {
			requests("/large", setting{settingInitialWindow, 100_000})(a)
			a.changeSetting(noWindow)
		}, reads: true},
		"a window of one byte a second":     {attack: keeps(window(1), time.Second, requests("/large", noWindow)), reads: true},
		"a window of 20 bytes, small parts": {attack: keeps(frame(frameWindow, 0, 1, []byte{0, 0, 0, 20}), 200*time.Millisecond, requests("/flush", noWindow)), reads: true},
		"one byte a second, connection":     {attack: keeps(window(0), time.Second, requests("/large", setting{settingInitialWindow, wide})), reads: true},
		"a hundred streams without window": {attack: func(a *attacker) {
			a.preface(noWindow)
			for i := range uint32(100) {
				a.request(2*i+1, "/small", true)
			}
		}, reads: true},
		"half a body, read": {attack: func(a *attacker) { a.preface(); a.request(1, "/read", false); a.frame(frameData, 0, 1, []byte("half")) }, reads: true},
		"half a body, read in part": {attack: func(a *attacker) {
			a.preface(noWindow)
			a.request(1, "/part", false)
			a.frame(frameData, 0, 1, []byte("half"))
		}, reads: true},
		"half a body, not read": {attack: func(a *attacker) {
			a.preface(noWindow)
			a.request(1, "/ignore", false)
			a.frame(frameData, 0, 1, []byte("half"))
		}, reads: true},
		"the socket is not read": {attack: func(a *attacker) {
			requests("/large", setting{settingInitialWindow, wide})(a)
			a.windowUpdate(0, wide-65535)
		}},
		"the socket is read byte by byte": {attack: func(a *attacker) {
			requests("/large", setting{settingInitialWindow, wide})(a)
			a.windowUpdate(0, wide-65535)
			a.takeSlowly()
		}},
		"no window for net/http's own 400": {attack: func(a *attacker) { a.preface(noWindow); a.bad(1) }, reads: true},
		"no window for net/http's own 431": {attack: func(a *attacker) { a.preface(noWindow); a.huge(1) }, reads: true},
		"requests with 431 without end, past the age": {
			attack: func(a *attacker) {
				a.preface()
				stream := uint32(1)
				a.forever(50*time.Millisecond, func() error { stream += 2; return a.huge(stream) })
			},
			limits: func(l *ports.Limits) { l.ConnectionAge = time.Second }, reads: true,
		},
		"requests without end, past the age": {
			attack: func(a *attacker) {
				a.preface()
				stream := uint32(1)
				a.forever(50*time.Millisecond, func() error { stream += 2; return a.request(stream, "/small", true) })
			},
			limits: func(l *ports.Limits) { l.ConnectionAge = time.Second }, reads: true,
		},
		"bad requests without end, past the age": {
			attack: func(a *attacker) {
				a.preface()
				stream := uint32(1)
				a.forever(50*time.Millisecond, func() error { stream += 2; return a.bad(stream) })
			},
			limits: func(l *ports.Limits) { l.ConnectionAge = time.Second }, reads: true,
		},
		"no window, with a limit of the request": {attack: requests("/large", noWindow), limits: func(l *ports.Limits) { l.Request = time.Hour }, reads: true},
	}
	onFakeClock(t, func(t *testing.T) { runStalls(t, "h2", stalls, http.HandlerFunc(stalling)) })
}

// changeSetting sends SETTINGS again.
func (f *framer) changeSetting(s setting) error {
	return f.frame(frameSettings, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, s.id), s.value))
}

// bad sends a request with "te: x", which net/http itself answers with 400.
func (f *framer) bad(stream uint32) error {
	block := append(getHead("/small"), "\x00\x02te\x01x"...)
	return f.frame(frameHeaders, flagEndHeaders|flagEndStream, stream, block)
}

// huge sends a request that net/http itself answers with 431: one field of the dynamic table
// (RFC 7541 section 2.3.2) is repeated until the list is too long.
func (f *framer) huge(stream uint32) error {
	block := append(getHead("/small"), field(3900)...)
	block[len(getHead("/small"))] = 0x40 // keep it
	block = append(block, bytes.Repeat([]byte{0xbe}, 20)...)
	return f.frame(frameHeaders, flagEndHeaders|flagEndStream, stream, block)
}
