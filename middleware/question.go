package middleware

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/mtlsguard/mtlsguard/internal/idheader"
	"github.com/mtlsguard/mtlsguard/reason"
)

// answersQuestions reports whether the request came to a port with ForwardAuth: it is a question
// about another request, and is never served itself.
func (c *call) answersQuestions() bool { return c.port != nil && c.port.ForwardAuth != nil }

// readQuestion replaces a question by the request that it is about. Every step that follows
// decides about that request as if the client had sent it to this port.
func (s *snapshot) readQuestion(c *call) bool {
	if !c.answersQuestions() {
		return true
	}
	c.Generation = s.Generation
	if c.hop == nil {
		c.refuse(reason.UntrustedGateway, "a question comes over a connection of the gateway itself, and not through a tunnel") // fail closed
		return false
	}
	var err error
	if c.request, err = c.port.ForwardAuth.read(c); err != nil {
		refusal := err.(*reason.Refusal) // read returns nothing else
		c.refuse(refusal.Reason, refusal.Detail)
		return false
	}
	return true
}

// read returns the request that a question is about. With an error it returns the question.
// The outcome gets the method and the path as the gateway sent them.
func (f *ForwardAuth) read(c *call) (*http.Request, error) {
	question := c.request
	method, err := f.value(question.Header, f.Method)
	if err != nil {
		return question, err
	}
	c.Method = method
	target, err := f.value(question.Header, f.Target)
	if err != nil {
		return question, err
	}
	c.Path, _, _ = strings.Cut(target, "?")
	host := question.Host
	if f.Host != "" {
		if host, err = f.value(question.Header, f.Host); err != nil {
			return question, err
		}
	}
	return asked(question, method, target, host)
}

// value returns the one value of a header. A missing header is an error, and so is one that came
// twice, or in a second spelling: which of them the gateway wrote is unknown.
func (f *ForwardAuth) value(h http.Header, name string) (string, error) {
	name = http.CanonicalHeaderKey(name)
	values := h[name]
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return "", reason.Refuse(reason.BadHeader, "the gateway sent no "+name)
	case len(values) > 1:
		return "", reason.Refuse(reason.BadHeader, "the gateway sent "+name+" more than once")
	}
	for other := range h {
		if other != name && idheader.Same(other, name) {
			return "", reason.Refuse(reason.BadHeader, "the gateway sent "+name+" in two spellings")
		}
	}
	return values[0], nil
}

// asked returns the request that a question is about. A target that could not stand in a request
// line is an error; checkTarget checks the rest.
func asked(question *http.Request, method, target, host string) (*http.Request, error) {
	if strings.ContainsAny(target, " \t") {
		return question, ambiguous("the target has a blank") // it would end the target
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return question, ambiguous("the target is not that of a request")
	}
	ctx := question.Context()
	if chi.RouteContext(ctx) != nil {
		ctx = context.WithValue(ctx, chi.RouteCtxKey, (*chi.Context)(nil)) // it is about the question
	}
	r := question.WithContext(ctx)
	r.Method, r.RequestURI, r.URL, r.Host = method, target, u, host
	r.Body, r.ContentLength, r.TransferEncoding, r.Trailer = http.NoBody, 0, nil, nil
	return r, nil
}
