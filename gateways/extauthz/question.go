package extauthz

import (
	"net/http"
	"net/url"
	"strings"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// certificateHeader is the header of forwarded: {format: envoy}.
const certificateHeader = "X-Forwarded-Client-Cert"

// ask returns the question for a call, over the connection of the call. why is not empty where the
// call has no question, or one with two readings. The client's own headers are not in it, but for
// its credentials.
func (s *service) ask(call *http.Request, a *auth.AttributeContext) (q *http.Request, why string) {
	q = call.Clone(call.Context())
	q.Method, q.URL, q.RequestURI = http.MethodGet, &url.URL{Path: "/"}, "/"
	q.Header, q.Trailer, q.Body, q.ContentLength, q.TransferEncoding = http.Header{}, nil, http.NoBody, 0, nil
	set := func(name, value string) {
		if name != "" && value != "" {
			q.Header.Set(name, value)
		}
	}
	h := a.GetRequest().GetHttp()
	if h == nil {
		return q, "the call has no request of HTTP"
	}
	for name, value := range map[string]string{":method": h.GetMethod(), ":path": h.GetPath(), ":authority": h.GetHost()} {
		if own, ok := h.GetHeaders()[name]; ok && own != value {
			return q, "the call has two values of " + name
		}
	}
	path := h.GetPath()
	if h.GetFragment() != "" {
		path += "#" + h.GetFragment() // the guard refuses it
	}
	set(s.question.Method, h.GetMethod())
	set(s.question.Target, path)
	set(s.question.Host, h.GetHost())
	set("Authorization", h.GetHeaders()["authorization"])
	set("X-Forwarded-For", a.GetSource().GetAddress().GetSocketAddress().GetAddress())
	switch certificate := a.GetSource().GetCertificate(); {
	case certificate == "" && a.GetSource().GetPrincipal() != "":
		// Fail closed: the client has a certificate, and would become a caller without one.
		return q, "the call has no certificate of its principal: set include_peer_certificate: true in the filter"
	case strings.ContainsAny(certificate, "\"\\,; \t\r\n"):
		return q, "the certificate is not URL-encoded PEM" // it could add to the header
	case certificate != "":
		set(certificateHeader, `Cert="`+certificate+`"`)
	}
	return q, ""
}
