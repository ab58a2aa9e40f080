package reverse

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Registrations is the handler by which servers register. It belongs on a ports.Port
// of mode Require, alone, whose trust has anchors that issue for such servers and for
// nobody else:
//
//	err := ports.Serve(ctx, gateway.Registrations(), registrationPort)
//
// The port goes on judging the server's certificate as long as the tunnel is open:
// one that is revoked, or expires, takes its tunnel with it within two seconds. When
// the port stops, its tunnels have Limits.Drain to end; call Gateway.Shutdown before.
func (g *Gateway) Registrations() http.Handler { return http.HandlerFunc(g.register) }

func (g *Gateway) register(w http.ResponseWriter, r *http.Request) {
	var verified trust.Verified
	no := func(err error) {
		word := wordOf(err)
		g.observe(Event{Kind: Refused, Remote: r.RemoteAddr, Certificate: verified, Reason: word, Err: err})
		refuse(w, word)
	}
	c, ok := ports.FromContext(r.Context())
	if !ok || r.TLS == nil || c.Port().Config().ClientAuth != ports.Require {
		no(reason.Refuse(reason.Misdirected, "registration needs a port that requires a certificate")) // fail closed
		return
	}
	var err error
	if verified, err = c.Verified(r.Context()); err != nil {
		no(err)
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != registerPath || !strings.EqualFold(r.Header.Get("Upgrade"), protocol) {
		w.Header().Set("Upgrade", protocol)
		fail(w, http.StatusUpgradeRequired)
		return
	}
	h, err := readHello(r.Header)
	if err != nil {
		no(&reason.Refusal{Reason: reason.BadHeader, Detail: "the hello cannot be read", Err: err})
		return
	}
	asked := g.rechecks.Load()
	if err := g.authorized(r.Context(), verified, h.services); err != nil {
		no(err)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		fail(w, http.StatusHTTPVersionNotSupported) // HTTP/2 has no upgrade
		return
	}
	t := &gatewayEnd{
		link: newLink(conn, buffered.Reader), services: h.services, limit: min(h.streams, g.config.Streams),
		verified: verified, remote: r.RemoteAddr, since: time.Now(), asked: asked,
	}
	if err := accept(conn); err != nil {
		conn.Close()
		return
	}
	g.begin(t)
}

// begin runs a tunnel, unless the gateway is leaving: what Shutdown waits for must not
// grow while it waits.
func (g *Gateway) begin(t *gatewayEnd) {
	g.beginning.Lock()
	defer g.beginning.Unlock()
	if g.leaving {
		t.link.Close()
		return
	}
	g.runs.Go(func() { g.run(t) })
}

// accept answers that the other side may go on with HTTP/2.
func accept(c net.Conn) error {
	c.SetDeadline(time.Now().Add(helloTime))
	_, err := c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocol + "\r\n\r\n"))
	c.SetDeadline(time.Time{})
	return err
}

// wordOf is the word for a refusal. An error that has none is still a refusal.
func wordOf(err error) reason.Reason {
	if refusal, ok := errors.AsType[*reason.Refusal](err); ok && refusal.Reason.Known() {
		return refusal.Reason
	}
	return reason.Denied
}
