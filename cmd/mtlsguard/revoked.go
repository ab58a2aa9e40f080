package main

import (
	"context"
	"crypto/x509"
	"errors"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
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
	isNotAsked   = "not asked"   // the port requests no certificate
)

// suspect is the certificate in question.
type suspect struct {
	chain  []*x509.Certificate // leaf first; nil with --serial
	issuer *x509.Certificate   // with --serial
	serial *big.Int
}

func (c *revokedCmd) Run(a *app) error {
	var wrong errorlist.List
	g, err := site.Load(a.ctx, c.Config, fileset.New(nil), nil, a.now, program(c.Config))
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
