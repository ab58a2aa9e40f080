package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/probe"
	"github.com/mtlsguard/mtlsguard/reason"
)

// probeReport is what check --json and inspect --json HOST:PORT print.
type probeReport struct {
	Addr            string             `json:"addr"`
	Remote          string             `json:"remote,omitempty"`
	Stage           probe.Stage        `json:"stage"`                // connect, handshake, request or answered: how far it came
	Refused         probe.Side         `json:"refused_by,omitempty"` // server, client or network
	Reason          reason.Reason      `json:"reason,omitempty"`
	Result          string             `json:"says"`
	Detail          string             `json:"because,omitempty"`
	Hints           []string           `json:"hints"`
	Alert           *probe.Alert       `json:"alert,omitempty"`
	Answer          *probe.Answer      `json:"answer,omitempty"`
	Version         string             `json:"tls_version,omitempty"`
	Cipher          string             `json:"cipher,omitempty"`
	Server          *certificateReport `json:"server_certificate,omitempty"`
	ServerUntrusted string             `json:"server_distrusted,omitempty"` // why the server's certificate is not believed
	Requested       bool               `json:"asked_for_certificate"`
	Authorities     []string           `json:"authorities,omitempty"` // whose certificates the server says it takes
	Sent            *certificateReport `json:"sent_certificate,omitempty"`
	Unacceptable    string             `json:"misfit,omitempty"` // why the server may refuse it, by what it says it takes
}

func newProbeReport(r *probe.Report, pair *tls.Certificate) probeReport {
	out := probeReport{
		Addr: r.Addr, Remote: r.Remote, Stage: r.Stage, Refused: r.RefusedBy, Reason: r.Reason, Alert: r.Alert, Answer: r.Answer, Requested: r.Requested,
	}
	out.Result, out.Detail = describeProbe(r)
	out.Hints = probeHints(r, pair)
	if r.Version != 0 {
		out.Version, out.Cipher = tls.VersionName(r.Version), tls.CipherSuiteName(r.Cipher)
	}
	if len(r.Chain) > 0 {
		out.Server = newCertificateReport(r.Chain[0])
	}
	if r.UntrustedErr != nil {
		out.ServerUntrusted = escape.Printable(r.UntrustedErr.Error(), 0)
	}
	out.Authorities = authorityNames(r)
	if r.Sent && pair != nil {
		out.Sent = newCertificateReport(pair.Leaf)
	}
	if r.Unacceptable != nil {
		out.Unacceptable = escape.Printable(r.Unacceptable.Error(), 0)
	}
	return out
}

// says is who refused whom, and why, in words.
func describeProbe(r *probe.Report) (what, because string) {
	if r.Err != nil {
		because = escape.Printable(r.Err.Error(), 0)
	}
	switch r.RefusedBy {
	case probe.Server:
		if r.Alert != nil {
			return fmt.Sprintf("the server refused: alert %s%s", r.Alert.Name, reasonSuffix(r.Reason)), describeAlert(r)
		}
		what = fmt.Sprintf("the server refused: %d%s", r.Answer.Status, reasonSuffix(r.Answer.Reason))
		return what, escape.Printable(r.Answer.Title, 0)
	case probe.Client:
		if r.UntrustedErr != nil {
			return "this side refused the server: its certificate is not believed", escape.Printable(r.UntrustedErr.Error(), 0)
		}
		return "this side gave up", because
	case probe.Network:
		switch {
		case r.PlainHTTP:
			return "nobody refused: the server speaks HTTP without TLS there", ""
		case r.Stage == probe.Connect:
			return "nobody refused: there is no connection", because
		case r.Sent:
			return "the server closed the connection without a word, after it was sent the certificate", because
		}
		return "the server closed the connection without a word", because
	}
	if r.Answer == nil {
		return "the handshake is finished", ""
	}
	return fmt.Sprintf("the server answered %d", r.Answer.Status), ""
}

func reasonSuffix(r reason.Reason) string {
	if r == "" {
		return ""
	}
	return " (" + string(r) + ")"
}

// meaning is what an alert says about the client.
func describeAlert(r *probe.Report) string {
	if r.Reason == "" {
		return "the alert says nothing about the client's certificate"
	}
	if !r.Sent && r.Reason == reason.NoCertificate {
		return "it wants a certificate, and none was sent"
	}
	if r.Alert.Number == alertBadCertificate {
		return "the server does not say more: issuer, dates, usage, strength or revocation may be why"
	}
	return r.Reason.Title()
}

// badCertificate is the alert for whatever crypto/tls has no better one for: a server
// of mtlsguard sends it for every certificate that it does not believe.
const alertBadCertificate = 42

func authorityNames(r *probe.Report) []string {
	var out []string
	for _, der := range r.Authorities {
		out = append(out, formatName(der))
	}
	return out
}

// probeHints is what to do about it.
func probeHints(r *probe.Report, pair *tls.Certificate) []string {
	out := []string{}
	add := func(text string) { out = append(out, text) }
	switch {
	case r.RefusedBy == probe.Client && r.UntrustedErr != nil:
		var authority x509.UnknownAuthorityError
		switch {
		case errors.As(r.UntrustedErr, &authority):
			add("--cacert FILE with the authority of the server's certificate: " + formatIssuer(r.Chain[0]))
		default:
			add("--host-name NAME if the server is called otherwise; else the server needs another certificate")
		}
	case r.PlainHTTP:
		add("is it the right port?")
	case r.Stage == probe.Connect:
		add("is the server running, and is the port open from here?")
	case r.RefusedBy == probe.Network && r.Err != nil:
		add("the server's log has the reason; a gateway or a load balancer in between may have closed it")
	case pair != nil && !r.Requested && r.Stage != probe.Handshake:
		add("the server did not ask for a certificate, so none was sent: is it the right port, or is there a gateway in front?")
	case r.RefusedBy == probe.NoSide:
	case r.Reason == reason.NoCertificate && pair == nil:
		add("--cert FILE --key FILE with the client's certificate")
	case r.Alert != nil && r.Alert.Number == alertBadCertificate:
		add("the server's log has the word, event=handshake")
	case r.Reason == reason.UnknownAuthority:
		add("the server does not believe the issuer, or misses the intermediate certificates: these stand after the leaf in the file")
	case r.Answer != nil && r.Answer.Reference != "":
		add("the server's log has more under reference " + escape.Printable(r.Answer.Reference, 0))
	case r.Answer != nil && r.Answer.Reason == "":
		add("the answer is not mtlsguard's: the connection was made, and what stands behind it refused")
	}
	if r.RefusedBy == probe.Server && r.Reason != "" && r.Reason != reason.NoCertificate {
		add("with the server's configuration: mtlsguard explain --config FILE --cert FILE --port NAME GET PATH")
	}
	if r.Sent && r.Unacceptable != nil && r.RefusedBy == probe.Server {
		add("the certificate's issuer is none of the authorities that the server names: " + strings.Join(authorityNames(r), "; "))
	}
	return out
}
