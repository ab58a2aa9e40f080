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

// Handler describes the caller on the request's active span, for a span that begins
// inside the guard: Observe comes before it. A refused request has no such span.
func (t *Telemetry) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if span := trace.SpanFromContext(r.Context()); span.IsRecording() {
			if id, ok := identity.FromContext(r.Context()); ok {
				span.SetAttributes(t.named(connection(r), &id)...)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// decided are the attributes of a decision.
func (t *Telemetry) decided(r *http.Request, o *middleware.Outcome) []attribute.KeyValue {
	a := connection(r)
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
		a = t.certificate(a, tlsClient, o.Verified.Leaf())
	} else { // the connection is the gateway's
		a = t.certificate(a, tlsClient, o.Gateway.Leaf())
		a = t.certificate(a, statedClient, o.Verified.Leaf())
	}
	if o.Identity != nil {
		a = t.user(a, o.Identity)
	}
	return a
}

// named are the attributes of a request that was let through.
func (t *Telemetry) named(a []attribute.KeyValue, id *identity.Identity) []attribute.KeyValue {
	a = append(a, portKey.String(id.Port), outcomeKey.String(allow))
	keys := tlsClient
	if id.Via != identity.TLS {
		keys = statedClient
	}
	return t.user(t.certificate(a, keys, id.Leaf), id)
}

func (t *Telemetry) user(a []attribute.KeyValue, id *identity.Identity) []attribute.KeyValue {
	a = append(a, attribute.String("mtlsguard.via", string(id.Via)))
	if t.names {
		a = append(a, semconv.UserName(id.User))
		if id.MappingID != "" {
			a = append(a, attribute.String("mtlsguard.mapping", printable(id.MappingID)))
		}
	}
	return a
}

// connection are the attributes of a request's connection.
func connection(r *http.Request) []attribute.KeyValue {
	a := make([]attribute.KeyValue, 0, 16)
	if s := r.TLS; s != nil {
		a = append(a, semconv.TLSEstablished(s.HandshakeComplete), semconv.TLSProtocolNameTLS, semconv.TLSProtocolVersion(version(s.Version)),
			semconv.TLSCipher(tls.CipherSuiteName(s.CipherSuite)), semconv.TLSResumed(s.DidResume))
		if p := s.NegotiatedProtocol; p != "" {
			a = append(a, semconv.TLSNextProtocol(p))
		}
	}
	return a
}

// keys are the names of the attributes of a certificate.
type keys struct{ hash, issuer, notBefore, notAfter, subject attribute.Key }

var (
	// tlsClient is about the client of the connection.
	tlsClient = keys{semconv.TLSClientHashSha256Key, semconv.TLSClientIssuerKey, semconv.TLSClientNotBeforeKey, semconv.TLSClientNotAfterKey, semconv.TLSClientSubjectKey}
	// statedClient is about the caller behind a gateway, whose connection it is. The
	// conventions have no name for that.
	statedClient = keys{"mtlsguard.client.hash.sha256", "mtlsguard.client.issuer", "mtlsguard.client.not_before", "mtlsguard.client.not_after", "mtlsguard.client.subject"}
)

// certificate adds the attributes of a believed leaf, where there is one.
func (t *Telemetry) certificate(a []attribute.KeyValue, k keys, leaf *x509.Certificate) []attribute.KeyValue {
	if leaf == nil {
		return a
	}
	a = append(a,
		k.hash.String(strings.ToUpper(trust.FingerprintOf(leaf).String())), // upper case, as the conventions want it
		k.issuer.String(printable(leaf.Issuer.String())),
		k.notBefore.String(leaf.NotBefore.UTC().Format(time.RFC3339)),
		k.notAfter.String(leaf.NotAfter.UTC().Format(time.RFC3339)))
	if t.names {
		a = append(a, k.subject.String(printable(leaf.Subject.String())))
	}
	return a
}

const longest = 256 // bytes of what a certificate says

// printable replaces what cannot be seen, and caps the rest. A text that is not UTF-8
// would cost an exporter the whole batch.
func printable(s string) string {
	var b strings.Builder
	for _, c := range s { // what is not UTF-8 comes as RuneError
		if !unicode.IsPrint(c) {
			c = utf8.RuneError
		}
		if b.Len()+utf8.RuneLen(c) > longest {
			b.WriteRune('…')
			break
		}
		b.WriteRune(c)
	}
	return b.String()
}
