package extauthz

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// certificateHeader is the header of forwarded: {format: envoy}.
const certificateHeader = "X-Forwarded-Client-Cert"

// ask returns the question for a call, over the connection of the call. why is not empty if the
// call has no question, or one that can be read in two ways. Of the client's own headers, the
// question has only the credentials.
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
		if slices.ContainsFunc(sent(h, name), func(own string) bool { return own != value }) {
			return q, "the call has two values of " + name
		}
	}
	credentials := slices.Compact(sent(h, "authorization"))
	if len(credentials) > 1 {
		return q, "the call has two values of authorization"
	}
	path := h.GetPath()
	if h.GetFragment() != "" {
		path += "#" + h.GetFragment() // the guard refuses it
	}
	set(s.question.Method, h.GetMethod())
	set(s.question.Target, path)
	set(s.question.Host, h.GetHost())
	set("Authorization", strings.Join(credentials, ""))
	set("X-Forwarded-For", a.GetSource().GetAddress().GetSocketAddress().GetAddress())
	switch certificate := a.GetSource().GetCertificate(); {
	case certificate == "" && a.GetSource().GetPrincipal() != "":
		// Fail closed: the client has a certificate, and would become a caller without one.
		return q, "the call has no certificate of its principal: set include_peer_certificate: true in the filter"
	case strings.ContainsAny(certificate, "\"\\,; \t\r\n"):
		return q, "the certificate is not URL-encoded PEM" // it could add another element to the header
	case certificate != "":
		set(certificateHeader, `Cert="`+certificate+`"`)
	}
	return q, ""
}

// sent returns the values of a header of the client, in the order of the call. Envoy fills one of
// two forms: the second with encode_raw_headers.
func sent(h *auth.AttributeContext_HttpRequest, name string) (values []string) {
	for key, value := range h.GetHeaders() {
		if strings.EqualFold(key, name) {
			values = append(values, value)
		}
	}
	for _, one := range h.GetHeaderMap().GetHeaders() {
		if !strings.EqualFold(one.GetKey(), name) {
			continue
		}
		if raw := one.GetRawValue(); len(raw) > 0 {
			values = append(values, string(raw))
		} else {
			values = append(values, one.GetValue())
		}
	}
	return values
}
