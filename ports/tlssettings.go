package ports

import (
	"crypto/tls"
	"fmt"
	"reflect"
	"slices"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// honoured are the fields of a tls.Config that a port takes over.
var honoured = map[string]bool{
	"CipherSuites": true, "CurvePreferences": true, "MinVersion": true, "MaxVersion": true, "NextProtos": true,
	"SessionTicketsDisabled": true, "DynamicRecordSizingDisabled": true,
	"PreferServerCipherSuites": true, // crypto/tls ignores it
}

// Why a port does not take over other fields.
const (
	verifies  = "the port verifies clients itself: set Config.ClientAuth and Config.Trust"
	callback  = "it could replace or skip the verification of clients: set Config.ClientAuth and Config.Trust"
	presents  = "set Config.Certificate"
	resumes   = "a session of another port or of a former trust could resume here: the port makes its ticket keys itself, and renews them"
	forClient = "it is for clients, and a port is a server"
)

// notHonoured has the reason for each of the other fields. A field that is in neither list,
// of a newer Go, is not honoured either.
var notHonoured = map[string]string{
	"ClientAuth": verifies, "ClientCAs": verifies, "InsecureSkipVerify": verifies,
	"VerifyPeerCertificate": callback, "VerifyConnection": callback, "GetConfigForClient": callback,
	"Certificates": presents, "NameToCertificate": presents, "GetCertificate": presents,
	"SessionTicketKey": resumes, "sessionTicketKeys": resumes, "UnwrapSession": resumes, "WrapSession": resumes,
	"KeyLogWriter":       "anyone who reads it can decrypt the connections",
	"Rand":               "the keys of every connection depend on it",
	"Time":               "set trust.Config.Now",
	"ClientSessionCache": forClient, "GetClientCertificate": forClient, "RootCAs": forClient, "ServerName": forClient, "Renegotiation": forClient,
	"EncryptedClientHelloConfigList": forClient, "EncryptedClientHelloRejectionVerify": forClient,
	"EncryptedClientHelloKeys": "a port does not support it", "GetEncryptedClientHelloKeys": "a port does not support it",
}

// checkTLS adds an error for each setting of c that a port does not take over. where is the
// field that holds c.
func checkTLS(where string, c *tls.Config, wrong *errorlist.List) {
	if c == nil {
		return
	}
	fail := func(what, hint string) { wrong.Add(configerror.Error{What: where + "." + what, Hint: hint}) }
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		why, known := notHonoured[field.Name]
		switch {
		case v.Field(i).IsZero() || honoured[field.Name] || !known && !field.IsExported():
		case !known:
			fail(field.Name+" is not honoured", "this version of the package does not know it")
		case field.Name == "sessionTicketKeys":
			fail("SetSessionTicketKeys is not honoured", why)
		default:
			fail(field.Name+" is not honoured", why)
		}
	}
	for name, version := range map[string]uint16{"MinVersion": c.MinVersion, "MaxVersion": c.MaxVersion} {
		if version != 0 && version != tls.VersionTLS12 && version != tls.VersionTLS13 {
			fail(fmt.Sprintf("%s: %#x is not supported", name, version), "set tls.VersionTLS12 or tls.VersionTLS13")
		}
	}
	suites := slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites())
	for _, id := range c.CipherSuites {
		if !slices.ContainsFunc(suites, func(s *tls.CipherSuite) bool { return s.ID == id }) {
			fail(fmt.Sprintf("CipherSuites: crypto/tls has no suite %#x", id), "use the constants of crypto/tls")
		}
	}
}

// httpProtos are the protocols that a port always offers (RFC 7301), unless the http.Server
// supports only one of them.
var httpProtos = []string{"h2", "http/1.1"}

// acmeProto is the protocol of ACME's challenge tls-alpn-01 (RFC 8737).
const acmeProto = "acme-tls/1"

// tlsBase returns a new tls.Config with the settings of Config.TLS, and the lowest version of
// both. The protocols of HTTP come first: so a client that offers more than one gets HTTP.
// acmeProto is not among them; see challenge.
func (c *Config) tlsBase() *tls.Config {
	out := &tls.Config{}
	if w := c.TLS; w != nil {
		out.CipherSuites, out.CurvePreferences = slices.Clone(w.CipherSuites), slices.Clone(w.CurvePreferences)
		out.MinVersion, out.MaxVersion = w.MinVersion, w.MaxVersion
		out.SessionTicketsDisabled, out.DynamicRecordSizingDisabled = w.SessionTicketsDisabled, w.DynamicRecordSizingDisabled
	}
	out.MinVersion = max(out.MinVersion, c.MinVersion, tls.VersionTLS12) // set, so that no GODEBUG lowers it
	out.NextProtos = slices.DeleteFunc(c.protos(), func(p string) bool { return p == acmeProto })
	return out
}

// protos returns the protocols that the port offers, each once.
func (c *Config) protos() []string {
	out := slices.Clone(httpProtos)
	if c.TLS == nil {
		return out
	}
	for _, p := range c.TLS.NextProtos {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
