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

type checkCmd struct {
	Addr   string `arg:"" name:"host:port" help:"The server."`
	Path   string `arg:"" optional:"" default:"/" help:"What is asked for, with GET."`
	Cacert string `placeholder:"FILE" help:"What the server's certificate must lead to. Default: the system's authorities."`
	Name   string `name:"host-name" placeholder:"NAME" help:"What the server is called, if not HOST."`
	client
}

func (*checkCmd) Help() string {
	return `Connects once, as a client with this certificate or with none, sends GET, and tells who refused whom: the server by an alert, the server by its answer, or this side because of the server's certificate.

Examples:
  mtlsguard check localhost:8443 --cacert server-ca.pem --cert alice.pem --key alice-key.pem
  mtlsguard check localhost:8443 /orders/7 --cacert server-ca.pem --cert alice.p12 --password-file password.txt
  mtlsguard check localhost:8443 --cacert server-ca.pem

Exit status: 0 an answer below 400, 1 refused or no answer, 2 the question is wrong.`
}

func (c *checkCmd) Run(a *app) error {
	if err := errors.Join(checkAddr(c.Addr), checkTarget(c.Path)); err != nil {
		return err
	}
	pair, err := c.pair(a)
	if err != nil {
		return err
	}
	config := probe.Config{Addr: c.Addr, ServerName: c.Name, Certificate: pair, Method: "GET", Path: c.Path}
	if config.Roots, err = roots(c.Cacert); err != nil {
		return err
	}
	r := probe.Run(a.ctx, config)
	if a.json {
		err = a.emit(probed(r, pair))
	} else {
		printProbe(a, r, pair)
	}
	if err == nil && r.Refused != probe.Nobody {
		return errNo
	}
	return err
}

// probeReport is what check --json and inspect --json HOST:PORT print.
type probeReport struct {
	Addr        string             `json:"addr"`
	Remote      string             `json:"remote,omitempty"`
	Stage       probe.Stage        `json:"stage"`                // connect, handshake, request or answered: how far it came
	Refused     probe.Side         `json:"refused_by,omitempty"` // server, client or network
	Reason      reason.Reason      `json:"reason,omitempty"`
	Says        string             `json:"says"`
	Because     string             `json:"because,omitempty"`
	Hints       []string           `json:"hints"`
	Alert       *probe.Alert       `json:"alert,omitempty"`
	Answer      *probe.Answer      `json:"answer,omitempty"`
	Version     string             `json:"tls_version,omitempty"`
	Cipher      string             `json:"cipher,omitempty"`
	Server      *certificateReport `json:"server_certificate,omitempty"`
	Distrust    string             `json:"server_distrusted,omitempty"` // why the server's certificate is not believed
	Asked       bool               `json:"asked_for_certificate"`
	Authorities []string           `json:"authorities,omitempty"` // whose certificates the server says it takes
	Sent        *certificateReport `json:"sent_certificate,omitempty"`
	Misfit      string             `json:"misfit,omitempty"` // why the server may refuse it, by what it says it takes
}

func probed(r *probe.Report, pair *tls.Certificate) probeReport {
	out := probeReport{
		Addr: r.Addr, Remote: r.Remote, Stage: r.Stage, Refused: r.Refused, Reason: r.Reason, Alert: r.Alert, Answer: r.Answer, Asked: r.Asked,
	}
	out.Says, out.Because = says(r)
	out.Hints = probeHints(r, pair)
	if r.Version != 0 {
		out.Version, out.Cipher = tls.VersionName(r.Version), tls.CipherSuiteName(r.Cipher)
	}
	if len(r.Chain) > 0 {
		out.Server = brief(r.Chain[0])
	}
	if r.Distrust != nil {
		out.Distrust = escape.Printable(r.Distrust.Error(), 0)
	}
	out.Authorities = authorityNames(r)
	if r.Sent && pair != nil {
		out.Sent = brief(pair.Leaf)
	}
	if r.Misfit != nil {
		out.Misfit = escape.Printable(r.Misfit.Error(), 0)
	}
	return out
}

// says is who refused whom, and why, in words.
func says(r *probe.Report) (what, because string) {
	if r.Err != nil {
		because = escape.Printable(r.Err.Error(), 0)
	}
	switch r.Refused {
	case probe.Server:
		if r.Alert != nil {
			return fmt.Sprintf("the server refused: alert %s%s", r.Alert.Name, word(r.Reason)), meaning(r)
		}
		what = fmt.Sprintf("the server refused: %d%s", r.Answer.Status, word(r.Answer.Reason))
		return what, escape.Printable(r.Answer.Title, 0)
	case probe.Client:
		if r.Distrust != nil {
			return "this side refused the server: its certificate is not believed", escape.Printable(r.Distrust.Error(), 0)
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

func word(r reason.Reason) string {
	if r == "" {
		return ""
	}
	return " (" + string(r) + ")"
}

// meaning is what an alert says about the client.
func meaning(r *probe.Report) string {
	if r.Reason == "" {
		return "the alert says nothing about the client's certificate"
	}
	if !r.Sent && r.Reason == reason.NoCertificate {
		return "it wants a certificate, and none was sent"
	}
	if r.Alert.Number == badCertificate {
		return "the server does not say more: issuer, dates, usage, strength or revocation may be why"
	}
	return r.Reason.Title()
}

// badCertificate is the alert for whatever crypto/tls has no better one for: a server
// of mtlsguard sends it for every certificate that it does not believe.
const badCertificate = 42

func authorityNames(r *probe.Report) []string {
	var out []string
	for _, der := range r.Names {
		out = append(out, nameText(der))
	}
	return out
}

// probeHints is what to do about it.
func probeHints(r *probe.Report, pair *tls.Certificate) []string {
	out := []string{}
	add := func(text string) { out = append(out, text) }
	switch {
	case r.Refused == probe.Client && r.Distrust != nil:
		var authority x509.UnknownAuthorityError
		switch {
		case errors.As(r.Distrust, &authority):
			add("--cacert FILE with the authority of the server's certificate: " + issuerText(r.Chain[0]))
		default:
			add("--host-name NAME if the server is called otherwise; else the server needs another certificate")
		}
	case r.PlainHTTP:
		add("is it the right port?")
	case r.Stage == probe.Connect:
		add("is the server running, and is the port open from here?")
	case r.Refused == probe.Network && r.Err != nil:
		add("the server's log has the reason; a gateway or a load balancer in between may have closed it")
	case pair != nil && !r.Asked && r.Stage != probe.Handshake:
		add("the server did not ask for a certificate, so none was sent: is it the right port, or is there a gateway in front?")
	case r.Refused == probe.Nobody:
	case r.Reason == reason.NoCertificate && pair == nil:
		add("--cert FILE --key FILE with the client's certificate")
	case r.Alert != nil && r.Alert.Number == badCertificate:
		add("the server's log has the word, event=handshake")
	case r.Reason == reason.UnknownAuthority:
		add("the server does not believe the issuer, or misses the intermediate certificates: these stand after the leaf in the file")
	case r.Answer != nil && r.Answer.Reference != "":
		add("the server's log has more under reference " + escape.Printable(r.Answer.Reference, 0))
	case r.Answer != nil && r.Answer.Reason == "":
		add("the answer is not mtlsguard's: the connection was made, and what stands behind it refused")
	}
	if r.Refused == probe.Server && r.Reason != "" && r.Reason != reason.NoCertificate {
		add("with the server's configuration: mtlsguard explain --config FILE --cert FILE --port NAME GET PATH")
	}
	if r.Sent && r.Misfit != nil && r.Refused == probe.Server {
		add("the certificate's issuer is none of the authorities that the server names: " + strings.Join(authorityNames(r), "; "))
	}
	return out
}

// says is what a running server said to what was explained.
func (l *live) says() string {
	what, because := says(l.Report)
	if because != "" {
		what += ": " + because
	}
	return what
}
