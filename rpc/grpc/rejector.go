package guardgrpc

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/chanlisten"
	"github.com/mtlsguard/mtlsguard/internal/problem"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// rejector refuses every call on the connections of a server that is not set up correctly. The
// grpc.Server never sees them: without interceptors it would serve every call. The zero value is
// ready to use.
type rejector struct {
	mu        sync.Mutex
	listeners map[*ports.Port]*chanlisten.Listener
	logged    time.Time
}

// maxRejected bounds how long a connection is kept only to refuse its calls.
const maxRejected = 10 * time.Second

// serve refuses the calls of a connection, and logs why, at most once a minute.
func (r *rejector) serve(c *tls.Conn, port *ports.Port, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); r.logged.IsZero() || now.Sub(r.logged) > time.Minute {
		r.logged = now
		slog.Error(why.Error(), slog.String("port", port.Name()), slog.String("remote", c.RemoteAddr().String()), slog.String("reason", string(reason.NoPort)))
	}
	l := r.listeners[port]
	if l == nil {
		l = chanlisten.New(port.Addr())
		if r.listeners == nil {
			r.listeners = map[*ports.Port]*chanlisten.Listener{}
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			problem.Refusal(reason.NoPort).Write(w, r)
		})}
		if err := port.Configure(srv); err != nil {
			slog.Error(err.Error()) // cannot happen: the server has no settings
			c.Close()
			return
		}
		r.listeners[port] = l
		go srv.Serve(l)
	}
	time.AfterFunc(maxRejected, func() { c.Close() })
	go func() {
		if l.Hand(context.Background(), c) != nil {
			c.Close()
		}
	}()
}
