package guardgrpc

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/rpccall"
)

// call is one call, and the context in which it runs: cancelling that ends the waits of its
// handler for the client.
type call struct {
	context.Context
	refusal // that the guard writes before the handler runs

	pair   *pair
	cancel context.CancelCauseFunc
	first  *time.Timer // ends the wait for the first message
	unhook func() bool

	info      *authInfo // nil: the call did not come over the pair's credentials
	method    string
	streams   bool
	md        metadata.MD
	transport grpc.ServerTransportStream

	run func(context.Context, *call) error
	ran bool
	err error // of run

	mu    sync.Mutex
	ended *refusal // why the call had to end
}

var _ rpccall.Call = (*call)(nil)

type callKey struct{}

// newCall returns a call that has begun to arrive. grpc reads the first message of a unary call
// before any interceptor runs, so a timer bounds that.
func newCall(ctx context.Context, p *pair) *call {
	c := &call{pair: p}
	c.Context, c.cancel = context.WithCancelCause(ctx)
	c.first = time.AfterFunc(p.firstMessage, func() { c.cancel(errFirstMessage) })
	c.unhook = context.AfterFunc(c.Context, func() { c.first.Stop() })
	return c
}

var errFirstMessage = status.Error(codes.DeadlineExceeded, "the first message of the call took too long")

// Value makes the call itself a value of its context.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// begin completes a call whose interceptor runs.
func (c *call) begin(ctx context.Context, method string, streams bool) {
	c.first.Stop()
	c.unhook()
	c.method, c.streams = method, streams
	c.transport = grpc.ServerTransportStreamFromContext(ctx)
	c.md, _ = metadata.FromIncomingContext(ctx)
}

// Request implements rpccall.Call. The path is the method as grpc looks it up: grpc decodes no
// escapes.
func (c *call) Request(ctx context.Context) *http.Request {
	header := make(http.Header, len(c.md)+1)
	for name, values := range c.md {
		if !strings.HasPrefix(name, ":") {
			header[http.CanonicalHeaderKey(name)] = values
		}
	}
	header["Content-Type"] = []string{"application/grpc"} // the guard answers in the protocol of the call
	r := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: c.method}, RequestURI: c.method, Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: header, Body: http.NoBody,
	}
	if host := c.md[":authority"]; len(host) > 0 {
		r.Host = host[0]
	}
	if c.info != nil {
		r.TLS, r.RemoteAddr = &c.info.State, c.info.remote
		ctx = connstate.NewContext(ctx, c.info.conn)
	}
	return r.WithContext(ctx)
}

// serveCall runs a call that the guard has let through.
func serveCall(w http.ResponseWriter, r *http.Request) {
	c, ok := w.(*call)
	if !ok || c.info == nil {
		return // fail closed: the guard refuses a call without a connection, and the result of this one is a refusal too
	}
	ctx := peer.NewContext(r.Context(), c.info.peer)
	if kept := c.cleaned(r.Header); kept != nil {
		ctx = metadata.NewIncomingContext(ctx, kept)
	}
	c.ran = true
	c.err = c.run(ctx, c)
}

// cleaned returns the metadata without the identity headers, which the guard has deleted from
// the header; nil if there were none.
func (c *call) cleaned(header http.Header) metadata.MD {
	var kept metadata.MD
	for name := range c.md {
		if strings.HasPrefix(name, ":") {
			continue
		}
		if _, ok := header[http.CanonicalHeaderKey(name)]; !ok {
			if kept == nil {
				kept = c.md.Copy()
			}
			delete(kept, name)
		}
	}
	return kept
}

// result returns the error of a call that is over.
func (c *call) result(ctx context.Context) error {
	switch ended := c.endedWith(); {
	case ended != nil:
		ended.setTrailer(ctx)
		return ended.err()
	case c.ran:
		return c.err
	default:
		c.setTrailer(ctx)
		return c.refusal.err()
	}
}

// Streams implements rpccall.Call.
func (c *call) Streams() bool { return c.streams }

// End implements rpccall.Call.
func (c *call) End(write func(http.ResponseWriter)) {
	why := &refusal{}
	write(why)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return
	}
	c.ended = why
	// The client gets the status now, whatever the handler does: a wait for a message that the
	// context ends would send "canceled" in its place.
	if t, ok := c.transport.(interface{ WriteStatus(*status.Status) error }); ok {
		_ = t.WriteStatus(status.Convert(why.err())) // a stream that is over needs none
	}
	c.cancel(why.err())
}

// endedWith returns why the call had to end, or nil.
func (c *call) endedWith() *refusal {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// SetReadDeadline is for the guard, which ends with a deadline in the past the answer to a
// caller whose certificate, forwarded by a gateway, is not trusted any more.
func (c *call) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		c.End(func(w http.ResponseWriter) {
			w.Header().Set("Grpc-Status", strconv.Itoa(int(codes.PermissionDenied)))
			w.Header().Set("Grpc-Message", "The client certificate is not trusted any more")
		})
	}
	return nil
}

// SetWriteDeadline is SetReadDeadline.
func (c *call) SetWriteDeadline(t time.Time) error { return c.SetReadDeadline(t) }
