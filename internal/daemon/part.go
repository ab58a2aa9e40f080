package daemon

import (
	"net/http"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
)

// Part observes a server, and serves a block of its file: an *admin.Page or *prom.Metrics.
type Part interface {
	Observe(*http.Request, middleware.Outcome)
	OnHandshake(ports.Handshake)
	Serve(*mtlsguard.Server) (http.Handler, error)
}

// parts are those that the file asks for. They are complete when the server is open, before the
// first request.
type parts struct{ all []Part }

// serve returns a function for mtlsguard.Options that makes a part. It is called only if the file
// has the block.
func (p *parts) serve(open func() (Part, error)) func(*mtlsguard.Server) (http.Handler, error) {
	return func(s *mtlsguard.Server) (http.Handler, error) {
		part, err := open()
		if err != nil {
			return nil, err
		}
		p.all = append(p.all, part)
		return part.Serve(s)
	}
}

// Observe passes a decision to every part.
func (p *parts) Observe(r *http.Request, o middleware.Outcome) {
	for _, one := range p.all {
		one.Observe(r, o)
	}
}

// OnHandshake passes a handshake to every part.
func (p *parts) OnHandshake(h ports.Handshake) {
	for _, one := range p.all {
		one.OnHandshake(h)
	}
}

// noMetrics is for a command that has no metrics.
func noMetrics(*mtlsguard.Server) (http.Handler, error) {
	return nil, &configerror.Error{What: "metrics: this command has none", Hint: "use mtlsguardd with the same file, which has metrics, or remove metrics"}
}
