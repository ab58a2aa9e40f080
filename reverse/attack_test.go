package reverse_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// attack is one way to hide a request in bytes that must not be read as one.
type attack struct {
	name   string
	head   string // of the first request, after its request line and Host
	method string
	before string // sent with the head
	after  string // sent after the first answer, or after a pause without an answer
	whole  bool   // the request is complete, and the bytes after it are another request
}

// chunk returns a chunk of RFC 9112 section 7.1.
func chunk(data string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(data), data) }

var attacks = func() []attack {
	flood := strings.Repeat(smuggled, 400) // more than any buffer between
	return []attack{
		{name: "chunk in two parts", head: "Transfer-Encoding: chunked\r\n", before: "10000\r\nfiller", after: smuggled + smuggled},
		{name: "chunk full of requests", head: "Transfer-Encoding: chunked\r\n", before: "fffff\r\n" + flood, after: flood},
		{name: "whole, chunked", head: "Transfer-Encoding: chunked\r\n", before: chunk(flood) + "0\r\n\r\n", whole: true},
		{name: "large and whole, chunked", head: "Transfer-Encoding: chunked\r\n", before: strings.Repeat(chunk(flood), 20), after: "0\r\n\r\n", whole: true},
		{name: "no chunk at all", head: "Transfer-Encoding: chunked\r\n", after: smuggled},
		{name: "malformed chunk", head: "Transfer-Encoding: chunked\r\n", before: "3\r\nabc\r\nzz\r\n" + smuggled},
		{name: "chunk without its end", head: "Transfer-Encoding: chunked\r\n", before: "3\r\nabcdef" + smuggled},
		{name: "long extension", head: "Transfer-Encoding: chunked\r\n", before: "3;" + strings.Repeat("x", 5000) + "\r\n" + smuggled},
		{name: "malformed trailer", head: "Transfer-Encoding: chunked\r\nTrailer: Sum\r\n", before: "3\r\nabc\r\n0\r\nnone\r\n" + smuggled},
		{name: "request as a trailer", head: "Transfer-Encoding: chunked\r\n", before: "3\r\nabc\r\n0\r\n" + smuggled},
		{name: "trailer that is too long", head: "Transfer-Encoding: chunked\r\n", before: "3\r\nabc\r\n0\r\nX: " + strings.Repeat("x", 8192) + "\r\n" + smuggled},
		{name: "late trailer", head: "Transfer-Encoding: chunked\r\n", before: "3\r\nabc\r\n0\r\n", after: "none\r\n" + smuggled},
		{name: "body in two parts, with a length", head: "Content-Length: 100000\r\n", before: "filler", after: smuggled + smuggled},
		{name: "body full of requests, with a length", head: fmt.Sprintf("Content-Length: %d\r\n", 3*len(flood)), before: flood, after: flood},
		{name: "huge length", head: "Content-Length: 900000000\r\n", before: flood, after: flood},
		{name: "whole, with a length", head: fmt.Sprintf("Content-Length: %d\r\n", len(flood)), before: flood, whole: true},
		{name: "large and whole, with a length", head: fmt.Sprintf("Content-Length: %d\r\n", 20*len(flood)), before: strings.Repeat(flood, 19), after: flood, whole: true},
		{name: "no body, with a length", head: fmt.Sprintf("Content-Length: %d\r\n", 2*len(smuggled)), after: smuggled},
		{name: "expectation", head: "Content-Length: 1000\r\nExpect: 100-continue\r\n", after: smuggled},
		{name: "chunked expectation", head: "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", after: smuggled},
		{name: "body without waiting for 100", head: "Content-Length: 1000\r\nExpect: 100-continue\r\n", before: "filler", after: smuggled},
		{name: "body of a GET", method: "GET", head: "Content-Length: 100000\r\n", before: "filler", after: smuggled},
		{name: "upgrade", method: "GET", head: "Connection: Upgrade\r\nUpgrade: websocket\r\n", after: smuggled},
		{name: "request without waiting for 101", method: "GET", head: "Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n", before: smuggled},
		{name: "other upgrade", method: "GET", head: "Connection: Upgrade\r\nUpgrade: other\r\n", before: smuggled},
		{name: "upgrade with a body", head: "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1000\r\n", before: "filler", after: smuggled},
		{name: "upgrade with chunks", method: "GET", head: "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n", before: "1000\r\nfiller", after: smuggled},
		{name: "HTTP/1.0", head: "Connection: keep-alive\r\nContent-Length: 1000\r\n", before: "filler", after: smuggled, method: "POST 1.0"},
		{name: "pipelined", head: "Content-Length: 4\r\n", before: "body", whole: true},
	}
}()

// target is a place where a client's connection is shared.
type target struct {
	name  string
	addr  string
	paths []string // of earlyHandler
}

// run carries out an attack on a connection of its own and returns the state of the connection
// afterwards. A next request after a complete one must be answered, unless the answer before
// it announced the end of the connection. Attacks share sessions: whole handshakes would take most
// of their time.
func (a attack) run(addr string, sessions tls.ClientSessionCache, way, id string) (string, error) {
	a.before, a.after = strings.ReplaceAll(a.before, "NNNNNN", id), strings.ReplaceAll(a.after, "NNNNNN", id)
	config := clientConfig(alice)
	config.NextProtos, config.ClientSessionCache = []string{"http/1.1"}, sessions
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	raw, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(patience))
	if !a.whole {
		raw.SetDeadline(time.Now().Add(400 * time.Millisecond)) // some attacks get no answer
	}
	if !strings.HasPrefix(way, "/") {
		way = "/do/" + way
	}
	method, version := a.method, "1.1"
	if method == "" {
		method = "POST"
	}
	if m, v, ok := strings.Cut(method, " "); ok {
		method, version = m, v
	}
	jitter()
	head := fmt.Sprintf("%s %s HTTP/%s\r\nHost: x\r\n%s\r\n", method, way, version, a.head)
	wrote := make(chan error, 1) // an answer may come before all bytes are read
	go func() {
		if rand.IntN(2) == 0 {
			_, err := io.WriteString(raw, head)
			jitter()
			if err == nil {
				_, err = io.WriteString(raw, a.before)
			}
			wrote <- err
			return
		}
		_, err := io.WriteString(raw, head+a.before)
		wrote <- err
	}()
	r := bufio.NewReader(raw)
	early := a.whole && rand.IntN(2) == 0 // all bytes at once, as a pipelining client sends them
	if early {
		<-wrote
		wrote <- nil
		io.WriteString(raw, a.after)
	} else if a.whole && a.after != "" {
		go func() {
			err := <-wrote
			jitter()
			io.WriteString(raw, a.after)
			wrote <- err
		}()
	}
	res, err := answerOf(r, method)
	if err != nil {
		// No answer: the request was aborted, or the server waits for the rest.
		if <-wrote == nil { // otherwise the attack would be the connection's first request
			raw.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			io.WriteString(raw, a.after)
		}
		return "cut", nil
	}
	if !a.whole {
		if <-wrote != nil {
			return "over", nil
		}
		jitter()
		raw.SetDeadline(time.Now().Add(300 * time.Millisecond))
		io.WriteString(raw, a.after)
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
		io.WriteString(raw, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
		for { // any answer is fine: the witnesses record the requests
			if _, err := answerOf(r, "GET"); err != nil {
				return "over", nil
			}
		}
	}
	if res.Close {
		return "closed", nil
	}
	<-wrote
	if _, err := io.WriteString(raw, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return "", fmt.Errorf("after an answer %d that announced no end the next request cannot be sent: %w", res.StatusCode, err)
	}
	next, err := answerOf(r, "GET")
	if err != nil {
		return "", fmt.Errorf("after an answer %d that announced no end the next request is not answered: %w", res.StatusCode, err)
	}
	if next.StatusCode >= 400 && next.StatusCode != res.StatusCode {
		return "", fmt.Errorf("after an answer %d the next request is answered %d", res.StatusCode, next.StatusCode)
	}
	return "kept", nil
}

// answerOf reads an answer to its end, and the interim answers (RFC 9110 section 15.2) before it.
func answerOf(r *bufio.Reader, method string) (*http.Response, error) {
	for {
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil {
			return nil, err
		}
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			return res, nil
		}
	}
}

func jitter() {
	switch rand.IntN(4) {
	case 0:
	case 1:
		time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
	default:
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
	}
}
