package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

type revokedCmd struct {
	Config string `required:"" placeholder:"FILE" help:"The server's mtlsguard.yaml."`
	Cert   string `required:"" xor:"what" placeholder:"FILE" help:"The client's certificate, with its intermediates."`
	Serial string `required:"" xor:"what" placeholder:"HEX" help:"The serial number of a certificate that is not at hand, as openssl prints it. Needs --issuer."`
	Issuer string `placeholder:"FILE" help:"The certificate of the CA that issued it, for --serial."`
	passwordFlags
}

func (*revokedCmd) Help() string {
	return `Shows for each port whether it refuses a certificate as revoked, and the proof: the CRLs and the OCSP responder that the port looks up, with their dates. A port that looks nothing up is named.

Examples:
  mtlsguard revoked --config mtlsguard.yaml --cert revoked.pem
  mtlsguard revoked --config mtlsguard.yaml --serial 41AF40E6F8A0BF21B0562CD38EF85DB8 --issuer client-ca.pem

Exit status: 0 every port that trusts the issuer refuses the certificate as revoked, 1 a port does not, or none trusts the issuer; 2 the command line, the configuration or the certificate has an error.`
}

// revokedReport is the JSON of revoked.
type revokedReport struct {
	Cert    *certificateReport `json:"certificate"`
	Revoked bool               `json:"revoked"` // on every port that trusts the issuer
	Ports   []portRevocation   `json:"ports"`
	Hints   []hint             `json:"hints"`
}

// portRevocation is the result for one port.
type portRevocation struct {
	Port     string        `json:"port"`
	At       string        `json:"at"`                 // file:line
	Verifies string        `json:"verifies,omitempty"` // connections, gateways or forwarded certificates
	Result   string        `json:"result"`
	Reason   reason.Reason `json:"reason,omitempty"` // of another refusal
	Detail   string        `json:"detail,omitempty"`
	Mode     string        `json:"revocation,omitempty"` // off, soft or hard
	LooksUp  bool          `json:"looks_up"`
	Lists    []crlProof    `json:"crls,omitempty"`
	OCSP     *ocspProof    `json:"ocsp,omitempty"`
}

// Results of a port.
const (
	isRevoked    = "revoked"     // refused as revoked
	isNotRevoked = "not revoked" // trusted, and not revoked
	isRefused    = "refused"     // refused for another reason
	isNotAsked   = "not asked"   // the port asks for no certificate
)

// crlProof is a CRL that the port looks up.
type crlProof struct {
	Of         string `json:"of,omitempty"` // an intermediate, if it is not the certificate itself
	File       string `json:"file"`
	Number     string `json:"number,omitempty"`
	ThisUpdate string `json:"this_update"`
	NextUpdate string `json:"next_update"`
	Signer     string `json:"signer,omitempty"`    // absent: no known authority signed it
	OtherKey   bool   `json:"other_key,omitempty"` // with --serial: another key than the issuer's signed it
	Listed     bool   `json:"listed"`
	Since      string `json:"since,omitempty"` // of the entry
	Why        string `json:"why,omitempty"`
	Ended      bool   `json:"ended,omitempty"` // past its next update
	Replaced   bool   `json:"replaced,omitempty"`
}

type ocspProof struct {
	URL    string `json:"url"`
	Status string `json:"status"` // good, revoked or unknown
	Until  string `json:"until,omitempty"`
	Error  string `json:"error,omitempty"`
}

// suspect is the certificate in question.
type suspect struct {
	chain  []*x509.Certificate // leaf first; nil with --serial
	issuer *x509.Certificate   // with --serial
	serial *big.Int
}

func (c *revokedCmd) Run(a *app) error {
	var wrong errorlist.List
	g, err := site.Load(a.ctx, c.Config, fileset.New(nil), nil, a.now)
	wrong.Merge(err, configerror.Error{File: c.Config})
	s := c.readSuspect(a, &wrong)
	if err := wrong.Err(); err != nil {
		return err
	}
	config, err := readConfigFile(c.Config)
	if err != nil {
		return err
	}
	out := revokedReport{Ports: []portRevocation{}, Hints: []hint{}, Cert: s.report()}
	for _, p := range g.AllPorts() {
		at := configerror.Error{File: c.Config, Line: p.Line}
		trusts := p.Trusts()
		if len(trusts) == 0 {
			out.Ports = append(out.Ports, portRevocation{Port: p.Config.Name, At: at.Position(), Result: isNotAsked})
		}
		for _, t := range trusts {
			r := s.check(a.ctx, t, a.now())
			r.Port, r.At, r.Verifies = p.Config.Name, at.Position(), p.Verifies(t)
			out.Ports = append(out.Ports, r)
		}
	}
	is := func(result string) func(portRevocation) bool {
		return func(p portRevocation) bool { return p.Result == result }
	}
	out.Revoked = slices.ContainsFunc(out.Ports, is(isRevoked)) && !slices.ContainsFunc(out.Ports, is(isNotRevoked))
	if !out.Revoked {
		out.addHints(a, g, config, s)
	}
	if a.json {
		err = a.printJSON(out)
	} else {
		out.print(a)
	}
	if err == nil && !out.Revoked {
		return errNegative
	}
	return err
}

// readSuspect reads the certificate that the command line names.
func (c *revokedCmd) readSuspect(a *app, wrong *errorlist.List) suspect {
	var s suspect
	password, err := c.readPasswords(a)
	wrong.Merge(err, configerror.Error{})
	if c.Cert != "" {
		entry, err := readClientEntry(c.Cert, password)
		wrong.Merge(err, configerror.Error{File: c.Cert})
		if c.Issuer != "" {
			wrong.Merge(usageError("--issuer is for --serial", "leave it out: the certificate names its issuer"), configerror.Error{})
		}
		if len(entry.Chain) > 0 {
			s.chain, s.serial = entry.Chain, entry.Chain[0].SerialNumber
		}
		return s
	}
	serial, ok := new(big.Int).SetString(strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(c.Serial), "0x"), ":", ""), 16)
	if !ok || serial.Sign() < 0 {
		wrong.Merge(usageError("--serial: "+quoted(c.Serial)+" is not a serial number", "hex as openssl x509 -noout -serial prints it"), configerror.Error{})
	}
	s.serial = serial
	if c.Issuer == "" {
		wrong.Merge(usageError("--serial needs --issuer", "--issuer FILE with the certificate of the CA"), configerror.Error{})
		return s
	}
	entry, err := readClientEntry(c.Issuer, password)
	wrong.Merge(err, configerror.Error{File: c.Issuer})
	if len(entry.Chain) > 0 {
		if s.issuer = entry.Chain[0]; !s.issuer.IsCA {
			wrong.Add(configerror.Error{File: c.Issuer, What: "this is not a CA certificate", Hint: "--issuer FILE with the certificate of the CA that issued the serial number"})
		}
	}
	return s
}

func (s *suspect) report() *certificateReport {
	if s.chain != nil {
		return newCertificateReport(s.chain[0])
	}
	return &certificateReport{Issuer: printable(s.issuer.Subject.String()), Serial: strings.ToUpper(s.serial.Text(16))}
}

// check verifies the certificate as the port does, and collects the proof.
func (s *suspect) check(ctx context.Context, t *site.Trust, now time.Time) portRevocation {
	mode := trustaccess.Revocation(t.Verifier)
	r := portRevocation{Mode: map[trust.Revocation]string{trust.RevocationOff: "off", trust.RevocationSoft: "soft", trust.RevocationHard: "hard"}[mode]}
	s.addProof(&r, t, now)
	r.LooksUp = mode != trust.RevocationOff && (len(r.Lists) > 0 || t.ResponderURL() != "")
	if mode == trust.RevocationOff {
		r.Lists = nil // nothing is looked up in them
	}
	listed := slices.ContainsFunc(r.Lists, func(l crlProof) bool { return l.Listed && l.Signer != "" && !l.OtherKey })
	if s.chain == nil {
		s.checkSerial(&r, t.Verifier, listed)
		return r
	}
	verified, err := t.Verifier.Verify(ctx, s.chain)
	refusal, refused := errors.AsType[*reason.Refusal](err)
	switch {
	case err == nil:
		r.Result = isNotRevoked
	case refused && refusal.Reason == reason.Revoked:
		r.Result, r.Detail = isRevoked, refusal.Detail
	case refused && refusal.Reason != reason.UnknownAuthority && listed: // it is expired, too
		r.Result, r.Reason, r.Detail = isRevoked, refusal.Reason, refusal.Detail
	case refused:
		r.Result, r.Reason, r.Detail = isRefused, refusal.Reason, refusal.Detail
	default:
		r.Result, r.Detail = isRefused, err.Error()
	}
	if t.ResponderURL() != "" && r.Reason != reason.UnknownAuthority && !listed {
		s.askResponder(ctx, &r, t, verified)
	}
	return r
}

// checkSerial decides by the lists alone.
func (s *suspect) checkSerial(r *portRevocation, v *trust.Verifier, listed bool) {
	trusted := slices.ContainsFunc(v.Anchors(), func(a *x509.Certificate) bool {
		return trust.SPKIOf(a) == trust.SPKIOf(s.issuer) || s.issuer.CheckSignatureFrom(a) == nil
	})
	switch {
	case !trusted:
		r.Result, r.Reason, r.Detail = isRefused, reason.UnknownAuthority, "no anchor of the port is the issuer, or issued it directly"
	case listed:
		r.Result = isRevoked
	default:
		r.Result = isNotRevoked
	}
}

// addProof adds the lists that have the issuer's name, for each certificate of the chain.
func (s *suspect) addProof(r *portRevocation, t *site.Trust, now time.Time) {
	if s.chain == nil {
		r.Lists = proofs(t, "", s.issuer.RawSubject, s.serial, now)
		for i, l := range trustaccess.LookUp(t.Verifier, s.issuer.RawSubject, s.serial) {
			// The list may be that of another authority with the same name. Without the
			// certificate nothing shows whether a port counts it: it proves nothing.
			r.Lists[i].OtherKey = l.Signer != nil && trust.SPKIOf(l.Signer) != trust.SPKIOf(s.issuer)
		}
		return
	}
	for i, c := range s.chain {
		of := ""
		if i > 0 {
			of = formatSubject(c)
		}
		if i == 0 || string(c.RawSubject) != string(c.RawIssuer) {
			r.Lists = append(r.Lists, proofs(t, of, c.RawIssuer, c.SerialNumber, now)...)
		}
	}
}

func proofs(t *site.Trust, of string, issuer []byte, serial *big.Int, now time.Time) []crlProof {
	var out []crlProof
	for _, l := range trustaccess.LookUp(t.Verifier, issuer, serial) {
		p := crlProof{
			Of: of, File: t.FileOf(l.List), ThisUpdate: formatTime(l.List.ThisUpdate), NextUpdate: formatTime(l.Until),
			Listed: l.Listed, Ended: now.After(l.Until), Replaced: l.Replaced,
		}
		if l.List.Number != nil {
			p.Number = l.List.Number.String()
		}
		if l.Signer != nil {
			p.Signer = printable(l.Signer.Subject.String())
		}
		if l.Listed {
			p.addEntry(l.List, serial)
		}
		out = append(out, p)
	}
	return out
}

// addEntry adds date and reason of the entry, from the file: a verifier keeps neither.
func (p *crlProof) addEntry(list *x509.RevocationList, serial *big.Int) {
	data, err := certfile.ReadFile(p.File)
	if err != nil {
		return
	}
	lists, _ := trustaccess.ReadCRLs(p.File, data)
	for _, l := range lists {
		if string(l.List.Signature) != string(list.Signature) {
			continue
		}
		for _, e := range l.List.RevokedCertificateEntries {
			if e.SerialNumber.Cmp(serial) == 0 {
				p.Since, p.Why = formatTime(e.RevocationTime), crlReasons[e.ReasonCode]
			}
		}
	}
}

// crlReasons has the names of the reason codes (RFC 5280 section 5.3.1).
var crlReasons = map[int]string{
	1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged", 4: "superseded", 5: "cessationOfOperation",
	6: "certificateHold", 9: "privilegeWithdrawn", 10: "aACompromise",
}

// askResponder asks the port's OCSP responder, as the port does.
func (s *suspect) askResponder(ctx context.Context, r *portRevocation, t *site.Trust, verified trust.Verified) {
	var issuer *x509.Certificate
	if !verified.IsZero() {
		issuer = verified.Issuer()
	}
	for _, c := range slices.Concat(s.chain[1:], t.Verifier.Anchors()) {
		if issuer == nil && s.chain[0].CheckSignatureFrom(c) == nil {
			issuer = c
		}
	}
	if issuer == nil {
		return
	}
	status, until, err := t.AskResponder(ctx, s.chain[0], issuer)
	r.OCSP = &ocspProof{URL: t.ResponderURL(), Status: "unknown"}
	switch {
	case err != nil:
		r.OCSP.Error = printable(err.Error())
	case status == trust.StatusRevoked:
		r.OCSP.Status = "revoked"
	case status == trust.StatusGood:
		r.OCSP.Status, r.OCSP.Until = "good", formatTime(until)
	}
}

// addHints adds what makes the other ports refuse the certificate.
func (r *revokedReport) addHints(a *app, g *site.Generation, config *configFile, s suspect) {
	h := &hinter{explainResult: &explainResult{config: config}}
	file := "ISSUER.crl"
	for _, p := range r.Ports {
		for _, l := range p.Lists {
			if l.Listed && l.Signer != "" && l.Of == "" {
				file = yamlText(relativeTo(config.path, l.File))
			}
		}
	}
	published := false
	for _, p := range r.Ports {
		if p.Result != isNotRevoked {
			continue
		}
		port := config.port(p.Port)
		if p.Verifies == "forwarded certificates" {
			port = port.forUsers()
		}
		switch {
		case !p.LooksUp && p.Mode == "off" && valueOf(&port.Trust, "revocation") != nil && valueOf(&port.Trust, "crls") != nil:
			h.addSet("port "+p.Port+" has CRLs and does not look them up", &port.Trust, "revocation", "hard")
		case !p.LooksUp && !port.Trust.IsZero():
			text := "port " + p.Port + " looks up no CRL of the issuer"
			if others := s.otherAnchors(port.readAnchors()); len(others) > 0 {
				text += "; add the CRLs of its other anchors too, or their certificates are refused as revocation-unknown: " + strings.Join(others, "; ")
			}
			h.addExtend(text, &port.Trust, "crls", file)
		case !published:
			published = true
			h.add(hint{Text: "no list that the ports look up has the certificate: revoke it at the CA, and put the CA's newest CRL into the file; fetch does this by itself"})
		}
	}
	if slices.ContainsFunc(r.Ports, func(p portRevocation) bool { return p.Result == isNotRevoked }) && s.chain != nil {
		h.addBan(a.ctx, g, s.chain)
	}
	r.Hints = append(r.Hints, h.list...)
}

// otherAnchors returns the names of the anchors that did not issue the certificate.
func (s *suspect) otherAnchors(anchors []*x509.Certificate) []string {
	below := s.chain
	if s.issuer != nil {
		below = []*x509.Certificate{s.issuer}
	}
	var out []string
	for _, a := range anchors {
		above := func(c *x509.Certificate) bool { return c.CheckSignatureFrom(a) == nil }
		if !(s.issuer != nil && a.Equal(s.issuer)) && !slices.ContainsFunc(below, above) {
			out = append(out, printable(a.Subject.String()))
		}
	}
	return out
}

// addBan adds the change that refuses the certificate at once, without its CA.
func (h *hinter) addBan(ctx context.Context, g *site.Generation, chain []*x509.Certificate) {
	const text = "to refuse it at once, on every port and without the CA"
	effect := effectIn(ctx, g, chain)
	for _, m := range g.Table.Mappings() {
		at := slices.IndexFunc(effect.matches, func(s certmap.Step) bool { return s.MappingID == m.ID })
		if at < 0 || m.Disabled {
			continue
		}
		switch s := effect.matches[at]; {
		case strings.Contains(cmp.Or(m.Subject, m.URI), username.Variable): // disabling a pattern would refuse others too
			h.add(hint{Text: text + ", deny its user everything", File: h.config.policy, Write: strings.Join([]string{"p", "user:" + s.User, "*", "*", "/*", policy.Deny}, ", ")})
		default:
			h.add(hint{Text: text + ", disable its mapping", File: s.File, Line: s.Line, Command: h.usersCommand("disable", "--id "+shellQuote(s.MappingID))})
		}
	}
}
