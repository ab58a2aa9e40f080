package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/probe"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/reason"
)

// probeReport is the JSON of check, and of inspect for a server.
type probeReport struct {
	Addr            string             `json:"addr"`
	Remote          string             `json:"remote,omitempty"`
	Stage           probe.Stage        `json:"stage"`                // the last step that was reached: connect, handshake, request or answered
	Refused         probe.Side         `json:"refused_by,omitempty"` // server, client or network
	Reason          reason.Reason      `json:"reason,omitempty"`
	Result          string             `json:"result"`
	Detail          string             `json:"detail,omitempty"`
	Warnings        []string           `json:"warnings,omitempty"` // what other clients would not send
	Hints           []string           `json:"hints"`
	Alert           *probe.Alert       `json:"alert,omitempty"`
	Answer          *probe.Answer      `json:"answer,omitempty"`
	Version         string             `json:"tls_version,omitempty"`
	Cipher          string             `json:"cipher,omitempty"`
	Server          *certificateReport `json:"server_certificate,omitempty"`
	ServerUntrusted string             `json:"server_untrusted,omitempty"` // why the server's certificate is not trusted
	Requested       bool               `json:"certificate_requested"`
	Authorities     []string           `json:"authorities,omitempty"` // the authorities that the server lists
	Sent            *certificateReport `json:"sent_certificate,omitempty"`
	Unacceptable    string             `json:"unacceptable,omitempty"` // why the certificate is outside the server's lists
}

func newProbeReport(r *probe.Report, pair *tls.Certificate) probeReport {
	out := probeReport{
		Addr: r.Addr, Remote: r.Remote, Stage: r.Stage, Refused: r.RefusedBy, Reason: r.Reason, Alert: r.Alert, Answer: r.Answer, Requested: r.Requested,
	}
	out.Result, out.Detail = describeProbe(r)
	warnings, hints := otherClients(r, pair)
	out.Warnings, out.Hints = warnings, append(probeHints(r, pair), hints...)
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

// describeProbe returns which side refused, and the detail.
func describeProbe(r *probe.Report) (result, detail string) {
	if r.Err != nil {
		detail = escape.Printable(r.Err.Error(), 0)
	}
	switch r.RefusedBy {
	case probe.Server:
		if r.Alert != nil {
			return fmt.Sprintf("the server refused: alert %s%s", r.Alert.Name, reasonSuffix(r.Reason)), describeAlert(r)
		}
		result = fmt.Sprintf("the server refused: %d%s", r.Answer.Status, reasonSuffix(r.Answer.Reason))
		return result, escape.Printable(r.Answer.Title, 0)
	case probe.Client:
		if r.UntrustedErr != nil {
			return "the client refused the server: its certificate is not trusted", escape.Printable(r.UntrustedErr.Error(), 0)
		}
		return "the client ended the handshake", detail
	case probe.Network:
		switch {
		case r.PlainHTTP:
			return "no TLS: the server answers in plain HTTP", ""
		case r.Stage == probe.Connect:
			return "no connection to the server", detail
		case r.Sent:
			return "the server closed the connection without an alert, after the certificate was sent", detail
		}
		return "the server closed the connection without an alert", detail
	}
	if r.Answer == nil {
		return "the handshake is finished", ""
	}
	return fmt.Sprintf("the server answered %d", r.Answer.Status), ""
}

// reasonSuffix returns a reason in parentheses, or nothing for none.
func reasonSuffix(r reason.Reason) string {
	if r == "" {
		return ""
	}
	return " (" + string(r) + ")"
}

// describeAlert returns the meaning of an alert for the client's certificate.
func describeAlert(r *probe.Report) string {
	if r.Reason == "" {
		return "the alert is not about the client's certificate"
	}
	if !r.Sent && r.Reason == reason.NoCertificate {
		return "the server requires a certificate, and none was sent"
	}
	if r.Alert.Number == alertBadCertificate {
		return "the alert has no details: the cause may be the issuer, the dates, the usage, the key or the revocation"
	}
	return r.Reason.Title()
}

// alertBadCertificate is the alert for everything that has no alert of its own: mtlsguard
// sends another one for expired, revoked and unknown-authority.
const alertBadCertificate = 42

func authorityNames(r *probe.Report) []string {
	var out []string
	for _, der := range r.Authorities {
		out = append(out, report.FormatName(der))
	}
	return out
}

// probeHints returns the next steps.
func probeHints(r *probe.Report, pair *tls.Certificate) []string {
	out := []string{}
	add := func(text string) { out = append(out, text) }
	switch {
	case r.RefusedBy == probe.Client && r.UntrustedErr != nil:
		var authority x509.UnknownAuthorityError
		var invalid x509.CertificateInvalidError
		if errors.As(r.UntrustedErr, &invalid) && invalid.Reason == x509.Expired && len(r.Chain) > 0 {
			add("no client accepts the server's certificate at this time: it is valid from " + formatTime(r.Chain[0].NotBefore) + " to " + formatTime(r.Chain[0].NotAfter) +
				". If the clock is right here (date -u), renew it at the server: mtlsguard lint --config FILE names the server's file")
		} else if errors.As(r.UntrustedErr, &authority) {
			add("--cacert FILE with the authority of the server's certificate: " + formatIssuer(r.Chain[0]))
		} else {
			add("--host-name NAME with a name in the server's certificate, or another certificate for the server")
		}
	case r.PlainHTTP:
		add("check the port number")
	case r.Stage == probe.Connect:
		add("check that the server is running and that its port can be reached from here")
	case r.RefusedBy == probe.Network && r.Err != nil:
		add("the server's log has the reason; or a gateway or load balancer in between closed the connection")
	case pair != nil && !r.Requested && r.Stage != probe.Handshake:
		add("the server did not request a certificate, so none was sent: check the port number; a gateway in front may end TLS")
	case r.RefusedBy == probe.NoSide:
	case r.Reason == reason.NoCertificate && pair == nil:
		add("--cert FILE --key FILE with the client's certificate")
	case r.Alert != nil && r.Alert.Number == alertBadCertificate:
		add("the server's log has the reason, in a line with event=handshake")
	case r.Reason == reason.UnknownAuthority:
		if names := authorityNames(r); pair != nil && len(names) > 0 && r.Unacceptable != nil {
			add("send a certificate of one of: " + strings.Join(names, "; "))
		}
		add("the server does not trust the issuer, or lacks the intermediate certificates: put them after the leaf in the file of --cert")
	case r.Answer != nil && r.Answer.Reference != "":
		add("the server's log has the details, in the line with reference=" + escape.Printable(r.Answer.Reference, 0))
	case r.Answer != nil && r.Answer.Reason == "":
		add("the answer has no reason of mtlsguard: the handshake succeeded, and the program behind it refused")
	}
	if r.RefusedBy == probe.Server && r.Reason != "" && r.Reason != reason.NoCertificate {
		add("if you have the server's configuration: mtlsguard explain --config FILE --cert FILE --port NAME GET PATH")
	}
	return out
}
