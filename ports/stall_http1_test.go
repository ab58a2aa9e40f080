package ports_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// Covers H15. If an HTTP/1.1 client stops sending or reading at any point, its connection and
// its handler end.
func TestStalledHTTP1ClientIsClosed(t *testing.T) {
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n" }
	post := func(path, more string) string { return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\n" + more }
	sends := func(text string) func(*attacker) { return func(a *attacker) { a.send("%s", text) } }
	stalls := map[string]stall{
		"silence":                   {attack: func(*attacker) {}},
		"half a request line":       {attack: sends("GET /sma")},
		"half a header":             {attack: sends("GET /small HTTP/1.1\r\nHo")},
		"a header byte by byte":     {attack: func(a *attacker) { a.drip(200*time.Millisecond, []byte(get("/small"+strings.Repeat("x", 1000)))) }},
		"half a body, read":         {attack: sends(post("/read", "Content-Length: 10\r\n\r\nhalf"))},
		"half a body, not read":     {attack: sends(post("/ignore", "Content-Length: 10\r\n\r\nhalf")), reads: true},
		"half a body, read in part": {attack: sends(post("/part", "Content-Length: 10\r\n\r\nhalf")), reads: true},
		"half a body, closed":       {attack: sends(post("/close", "Content-Length: 10\r\n\r\nhalf")), reads: true},
		"half a chunk, read":        {attack: sends(post("/read", "Transfer-Encoding: chunked\r\n\r\n5\r\nha"))},
		"half a chunk, not read":    {attack: sends(post("/ignore", "Transfer-Encoding: chunked\r\n\r\n5\r\nha")), reads: true},
		"half a chunk's size":       {attack: sends(post("/read", "Transfer-Encoding: chunked\r\n\r\n5"))},
		"half a trailer, read":      {attack: sends(post("/read", "Trailer: A\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: "))},
		"a trailer byte by byte": {attack: func(a *attacker) {
			a.send("%s", post("/read", "Trailer: A\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"))
			a.drip(200*time.Millisecond, []byte("A: "+strings.Repeat("x", 1000)))
		}},
		"an announced body, not sent": {attack: sends(post("/read", "Content-Length: 10\r\nExpect: 100-continue\r\n\r\n"))},
		"a large body, not read": {attack: func(a *attacker) {
			a.send("%s", post("/ignore", "Content-Length: 100000000\r\n\r\n"))
			a.drip(20*time.Millisecond, make([]byte, 5000))
		}, reads: true},
		"the answer is not read":      {attack: sends(get("/large"))},
		"a copied answer is not read": {attack: sends(get("/copy"))},
		"a file is not read":          {attack: sends(get("/file"))},
		"an answer byte by byte":      {attack: func(a *attacker) { a.send("%s", get("/large")); a.takeSlowly() }},
		"a file byte by byte":         {attack: func(a *attacker) { a.send("%s", get("/file")); a.takeSlowly() }},
		"pipelined, not read": {attack: func(a *attacker) {
			a.forever(0, func() error { _, err := a.caller.Write([]byte(strings.Repeat(get("/small"), 100))); return err })
		}},
		"a bad request, not read": {attack: sends("BAD\r\n\r\n")},
		"idle after a request":    {attack: sends(get("/small")), reads: true},
	}
	onFakeClock(t, func(t *testing.T) { runStalls(t, "http/1.1", stalls, http.HandlerFunc(stalling)) })
}

// takeSlowly reads one byte a second below TLS.
func (a *attacker) takeSlowly() {
	raw := a.Conn.NetConn()
	a.forever(time.Second, func() error { _, err := raw.Read(make([]byte, 1)); return err })
}
