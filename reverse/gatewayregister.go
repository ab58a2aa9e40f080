package reverse

import (
	"net/http"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Registrations returns the handler by which servers register. Serve it on a ports.Port of
// its own, with mode ports.Require and trust anchors that issue certificates to such
// servers only:
//
//	err := ports.Serve(ctx, gateway.Registrations(), registrationPort)
//
// The port keeps verifying the server's certificate while the tunnel is open: when the
// certificate is revoked or expires, the tunnel is closed within two seconds. When the port
// stops, its tunnels have Limits.Drain to end; call Gateway.Shutdown before that.
func (g *Gateway) Registrations() http.Handler { return http.HandlerFunc(g.register) }

func (g *Gateway) register(w http.ResponseWriter, r *http.Request) {
	var server trust.Verified
	refuseRegistration := func(err error) {
		g.report(Event{Kind: Refused, Remote: r.RemoteAddr, Certificate: server, Reason: reasonOf(err), Err: err})
		refuse(w, r, reasonOf(err))
	}
	c, ok := ports.FromContext(r.Context())
	if !ok || r.TLS == nil {
		refuseRegistration(reason.Refuse(reason.NoPort, "the request did not come through a ports.Port")) // fail closed
		return
	}
	if c.Port().Config().ClientAuth != ports.Require {
		refuseRegistration(reason.Refuse(reason.Misdirected, "registration needs a port of mode require")) // fail closed
		return
	}
	var err error
	if server, err = c.Verified(r.Context()); err != nil {
		refuseRegistration(err)
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != wire.RegisterPath || !strings.EqualFold(r.Header.Get("Upgrade"), wire.Protocol) {
		w.Header().Set("Upgrade", wire.Protocol)
		fail(w, r, http.StatusUpgradeRequired)
		return
	}
	registration, err := wire.ReadRegistration(r.Header)
	if err != nil {
		refuseRegistration(&reason.Refusal{Reason: reason.BadHeader, Detail: "the registration cannot be parsed", Err: err})
		return
	}
	rechecks := g.rechecks.Load()
	if err := g.authorize(r.Context(), server, registration.Services); err != nil {
		refuseRegistration(err)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		fail(w, r, http.StatusHTTPVersionNotSupported) // HTTP/2 has no upgrade
		return
	}
	t := &gatewayTunnel{
		link: wire.NewLink(conn, buffered.Reader), services: registration.Services, limit: min(registration.Streams, g.config.Streams),
		server: server, remote: r.RemoteAddr, since: time.Now(), authorizedAt: rechecks,
	}
	if err := wire.Accept(conn); err != nil {
		conn.Close()
		return
	}
	g.start(t)
}

// start runs a tunnel in a goroutine, unless Shutdown has been called, which waits for all
// of them.
func (g *Gateway) start(t *gatewayTunnel) {
	g.startMu.Lock()
	defer g.startMu.Unlock()
	if g.stopped {
		t.link.Close()
		return
	}
	g.tunnels.Go(func() { g.run(t) })
}
