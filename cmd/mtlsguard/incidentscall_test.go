package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// call is a request to the server.
type call struct {
	client, port, method, path string
	host, from                 string // the Host, and the client's address
	edit                       func(*http.Request)
	config                     func(*tls.Config)
}

func (c call) String() string {
	return strings.Join(strings.Fields(c.client+" "+c.port+" "+c.method+" "+c.path), " ")
}

// answerAtNight is what the client has: an answer, or an error.
type answerAtNight struct {
	status            int
	reason, reference string
	err               error
}

func (a answerAtNight) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return strings.TrimSpace(fmt.Sprint(a.status, " ", a.reason))
}

// send makes a request on a connection of its own.
func (n *nightSite) send(c call) answerAtNight {
	n.Helper()
	port, target := c.port, c.path
	if port == "" {
		port = "internal"
	}
	client := testkit.Client(n, n.serverCA.Pool(), n.clients[c.client], func(t *http.Transport) {
		t.DisableKeepAlives, t.TLSClientConfig.ServerName = true, "localhost"
		if c.from != "" {
			t.DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.from)}}).DialContext
		}
		if c.config != nil {
			c.config(t.TLSClientConfig)
		}
	})
	r, err := http.NewRequestWithContext(n.Context(), c.method, "https://"+n.addrs[port]+target, nil)
	if err != nil {
		n.Fatal(err)
	}
	if r.Host = "localhost"; c.host != "" {
		r.Host = c.host
	}
	if c.edit != nil {
		c.edit(r)
	}
	logged := n.handshakeLines()
	res, err := client.Do(r)
	for range 3 { // an alert is lost if the connection is reset before the client reads it
		if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
			res, err = client.Do(r)
		}
	}
	if err != nil {
		if strings.Contains(err.Error(), "remote error: tls: ") {
			// The client has the alert before the log has its line: the next request must not be first.
			testkit.Eventually(n, "the refused handshake is logged", func() bool { return n.handshakeLines() > logged })
		}
		return answerAtNight{err: err}
	}
	defer res.Body.Close()
	out := answerAtNight{status: res.StatusCode}
	body, _ := io.ReadAll(res.Body)
	var problem struct{ Reason, Reference string }
	if json.Unmarshal(body, &problem) == nil {
		out.reason, out.reference = problem.Reason, problem.Reference
	}
	return out
}

// handshakeLines returns the number of handshakes in the log.
func (n *nightSite) handshakeLines() int {
	n.Helper()
	return strings.Count(n.get("server.log"), `"event":"handshake"`)
}
