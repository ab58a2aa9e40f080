package otel

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Handler sets the attributes of the caller on the request's active span. Use it for a span
// that begins inside the guard, because Observe is called before that. A refused request
// has no such span.
func (t *Telemetry) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if span := trace.SpanFromContext(r.Context()); span.IsRecording() {
			if id, ok := identity.FromContext(r.Context()); ok {
				span.SetAttributes(t.callerAttributes(connectionAttributes(r), &id)...)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// decisionAttributes returns the attributes of a decision.
func (t *Telemetry) decisionAttributes(r *http.Request, o *middleware.Outcome) []attribute.KeyValue {
	a := connectionAttributes(r)
	outcome := allow
	if !o.Allowed {
		outcome = refuse
		a = append(a, reasonKey.String(string(o.Reason)), attribute.String("mtlsguard.reference", o.Reference))
	}
	a = append(a, portKey.String(o.Port), outcomeKey.String(outcome), attribute.Int64("mtlsguard.generation", int64(o.Generation)))
	if rule := o.Rule.String(); rule != "" {
		a = append(a, attribute.String("mtlsguard.rule", rule))
	}
	if o.Gateway.IsZero() {
		a = t.addCertificate(a, tlsClient, o.Verified.Leaf())
	} else { // the certificate of the connection is the gateway's
		a = t.addCertificate(a, tlsClient, o.Gateway.Leaf())
		a = t.addCertificate(a, forwardedClient, o.Verified.Leaf())
	}
	if o.Identity != nil {
		a = t.addUser(a, o.Identity)
	}
	return a
}

// callerAttributes appends the attributes of an allowed request.
func (t *Telemetry) callerAttributes(a []attribute.KeyValue, id *identity.Identity) []attribute.KeyValue {
	a = append(a, portKey.String(id.Port), outcomeKey.String(allow))
	keys := tlsClient
	if id.Via != identity.TLS {
		keys = forwardedClient
	}
	return t.addUser(t.addCertificate(a, keys, id.Leaf), id)
}

// addUser appends the attributes of the user.
func (t *Telemetry) addUser(a []attribute.KeyValue, id *identity.Identity) []attribute.KeyValue {
	a = append(a, attribute.String("mtlsguard.via", string(id.Via)))
	if t.names {
		a = append(a, semconv.UserName(id.User))
		if id.MappingID != "" {
			a = append(a, attribute.String("mtlsguard.mapping", printable(id.MappingID)))
		}
	}
	return a
}

// connectionAttributes returns the attributes of a request's connection.
func connectionAttributes(r *http.Request) []attribute.KeyValue {
	a := make([]attribute.KeyValue, 0, 16)
	if s := r.TLS; s != nil {
		a = append(a, semconv.TLSEstablished(s.HandshakeComplete), semconv.TLSProtocolNameTLS, semconv.TLSProtocolVersion(tlsVersion(s.Version)),
			semconv.TLSCipher(tls.CipherSuiteName(s.CipherSuite)), semconv.TLSResumed(s.DidResume))
		if p := s.NegotiatedProtocol; p != "" {
			a = append(a, semconv.TLSNextProtocol(p))
		}
	}
	return a
}

// certificateKeys holds the names of the attributes of a certificate.
type certificateKeys struct{ hash, issuer, notBefore, notAfter, subject attribute.Key }

var (
	// tlsClient names the client of the connection.
	tlsClient = certificateKeys{semconv.TLSClientHashSha256Key, semconv.TLSClientIssuerKey, semconv.TLSClientNotBeforeKey, semconv.TLSClientNotAfterKey, semconv.TLSClientSubjectKey}
	// forwardedClient names the caller behind a gateway. The conventions have no names for
	// it.
	forwardedClient = certificateKeys{"mtlsguard.client.hash.sha256", "mtlsguard.client.issuer", "mtlsguard.client.not_before", "mtlsguard.client.not_after", "mtlsguard.client.subject"}
)

// addCertificate appends the attributes of a verified leaf, or nothing for nil.
func (t *Telemetry) addCertificate(a []attribute.KeyValue, k certificateKeys, leaf *x509.Certificate) []attribute.KeyValue {
	if leaf == nil {
		return a
	}
	a = append(a,
		k.hash.String(strings.ToUpper(trust.FingerprintOf(leaf).String())), // the conventions require upper case
		k.issuer.String(printable(leaf.Issuer.String())),
		k.notBefore.String(leaf.NotBefore.UTC().Format(time.RFC3339)),
		k.notAfter.String(leaf.NotAfter.UTC().Format(time.RFC3339)))
	if t.names {
		a = append(a, k.subject.String(printable(leaf.Subject.String())))
	}
	return a
}

const maxAttributeBytes = 256 // of a text from a certificate

// printable replaces characters that cannot be printed, and truncates the text. A text that
// is not UTF-8 would make an exporter drop its whole batch.
func printable(s string) string {
	var b strings.Builder
	for _, c := range s { // range returns RuneError for bytes that are not UTF-8
		if !unicode.IsPrint(c) {
			c = utf8.RuneError
		}
		if b.Len()+utf8.RuneLen(c) > maxAttributeBytes {
			b.WriteRune('…')
			break
		}
		b.WriteRune(c)
	}
	return b.String()
}
