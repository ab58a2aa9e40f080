package main

import (
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/mapresult"
	"github.com/mtlsguard/mtlsguard/internal/method"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// hint is a change that would alter a decision: a text and, if there is an exact one, the
// line to write or the command to run.
type hint struct {
	Text    string `json:"text"`
	File    string `json:"file,omitempty"` // the file to change
	Line    int    `json:"line,omitempty"` // the line to change; 0 appends
	Write   string `json:"write,omitempty"`
	Command string `json:"command,omitempty"`
}

func (h hint) print(a *app) {
	a.printf("hint: %s\n", escape.Printable(h.Text, 0))
	switch {
	case h.Command != "":
		a.printf("    %s\n", escape.Printable(h.Command, 0))
	case h.Write != "" && h.Line > 0:
		a.printf("    %s:%d: %s\n", h.File, h.Line, escape.Printable(h.Write, 0))
	case h.Write != "":
		a.printf("    %s: %s\n", h.File, escape.Printable(h.Write, 0))
	}
}

// hints returns the changes that would alter a refusal, the most usual ones first. A hint
// is not a recommendation to let a caller in.
func (x *explainResult) hints() []hint {
	h := &hinter{explainResult: x, port: x.config.port(x.explanation.Port), chain: x.request.Certificates, file: x.certFile, list: []hint{}}
	if h.port.isForwarded() && !x.explanation.Gateway.IsZero() {
		h.port, h.chain, h.file = h.port.forUsers(), x.forwarded, x.forwardedFile
	}
	h.addAll()
	return h.list
}

// hinter collects the hints for an explanation.
type hinter struct {
	*explainResult
	port  configPort
	chain []*x509.Certificate // the user's, or the gateway's if that was refused
	file  string              // of the chain, as on the command line
	list  []hint
}

func (h *hinter) add(n hint) { h.list = append(h.list, n) }

// addConfig adds a hint to write a key into mtlsguard.yaml.
func (h *hinter) addConfig(line int, text, write string) {
	h.add(hint{Text: text, File: h.config.path, Line: line, Write: write})
}

// leafCertificate returns the first certificate of the chain, or nil.
func (h *hinter) leafCertificate() *x509.Certificate {
	if len(h.chain) == 0 {
		return nil
	}
	return h.chain[0]
}

func (h *hinter) addAll() {
	switch {
	case h.live == nil:
	case !h.live.isCompared():
		for _, text := range h.live.Hints {
			h.add(hint{Text: text})
		}
	case !h.live.Same:
		h.add(hint{Text: "the server has not loaded this configuration, or --host is a different server: reload it, and look for event=reload in its log"})
	}
	o, p := &h.explanation, h.port
	switch o.Reason {
	case "":
		if o.Unread {
			h.add(hint{Text: "net/http rejects this request before the guard: send an escaped path"})
		}
	case reason.UnknownAuthority:
		if p.isForwarded() && o.Refused {
			h.add(hint{Text: "this port is for gateways: give the gateway's own certificate with --cert, and the user's with --forwarded", File: h.config.path, Line: p.Forwarded.Line})
			break
		}
		h.addUnknownAuthority()
	case reason.Expired, reason.Revoked, reason.WeakKey, reason.NotALeaf, reason.TooLarge, reason.BadCertificate, reason.NotYetValid:
		h.addReplaceCertificate()
	case reason.WrongUsage:
		if leaf := h.leafCertificate(); leaf != nil && len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0 && strings.Contains(o.Detail, "has no extended key usage") {
			h.addConfig(p.trustLine, "profile compatible accepts a certificate without an extended key usage", "profile: compatible")
		}
		h.add(hint{Text: "the client needs a certificate for client authentication: extendedKeyUsage=clientAuth, and keyUsage=digitalSignature if there is one"})
	case reason.RevocationUnknown:
		h.addConfig(p.trustLine, "add a current CRL of the issuer, and of every other authority between the leaf and its anchor", "crls: [ISSUER.crl]")
		h.addConfig(p.trustLine, "or accept certificates with an unknown revocation status", "revocation: soft")
	case reason.NoCertificate:
		h.add(hint{Text: "the client must send a certificate: check that its configuration names one, and that the issuer is among the authorities that the server lists", Command: "mtlsguard inspect HOST:PORT"})
		if !o.Refused {
			h.addConfig(p.line, "or make anonymous callers the user Default; the policy must then allow the request for Default", "strict: false")
		}
	case reason.Unmapped:
		h.addUnmapped()
	case reason.Ambiguous:
		h.add(hint{Text: "two mappings of the same kind name two users: remove or disable one of those that match", File: h.config.users, Command: "mtlsguard users remove --config " + shellQuote(h.config.path) + " ID"})
	case reason.MappingExpired:
		for _, s := range o.Mapping {
			if s.Result == mapresult.OutOfTime {
				h.add(hint{Text: fmt.Sprintf("mapping %s %s: change its not_before or not_after, or add another mapping", s.MappingID, s.Why), File: s.File, Line: s.Line})
			}
		}
	case reason.AmbiguousPath:
		if method.Valid(o.Method) && strings.Contains(o.Detail, "method is not known") {
			h.addConfig(p.line, "list the method in the methods of the port", fmt.Sprintf("methods: [%s]", strings.Join(append(p.Methods, o.Method), ", ")))
			break
		}
		h.add(hint{Text: "the client must send a target with one reading: one slash between segments, no dot segments, no escaped slash, dot or backslash"})
	case reason.Misdirected:
		name := h.request.Host
		if name == "" {
			name = "NAME"
		}
		h.addConfig(p.line, "add the name to the server_names of the port", fmt.Sprintf("server_names: [%s]", strings.Join(append(p.ServerNames, name), ", ")))
	case reason.UntrustedGateway:
		if h.leaf != nil {
			h.addConfig(p.Forwarded.Line, "if this certificate is the gateway's, add its fingerprint", fmt.Sprintf("gateway: {fingerprints: [%q]}", trust.FingerprintOf(h.leaf)))
		}
		h.add(hint{Text: "users are refused on this port if they connect without the gateway"})
	case reason.BadHeader:
		h.addConfig(p.Forwarded.Line, "set format to the gateway's header format; docs/gateways.md has the configurations of both sides", "format: nginx")
	case reason.NoRule:
		h.addNoRule()
	case reason.Denied:
		h.add(hint{Text: "deny beats allow: remove " + o.Rule.String() + " or make it narrower", File: o.Rule.File, Line: o.Rule.Line})
	default:
		h.add(hint{Text: "docs/reasons.md#" + string(o.Reason) + " describes this reason"})
	}
}

// addUnmapped adds the near misses, and the command that adds a mapping.
func (h *hinter) addUnmapped() {
	for _, s := range h.explanation.Mapping {
		switch s.Result {
		case mapresult.NearMiss, mapresult.OtherPort, mapresult.OtherIssuer, mapresult.Disabled:
			h.add(hint{Text: fmt.Sprintf("mapping %s is a near miss: %s", s.MappingID, s.Why), File: s.File, Line: s.Line})
		}
	}
	if h.file != "" {
		h.add(hint{Text: "map the certificate to a user; NAME is the user's name", File: h.config.users,
			Command: "mtlsguard users add --config " + shellQuote(h.config.path) + " --cert " + shellQuote(h.file) + " --user NAME"})
	}
}

// addNoRule adds the line that would allow the request, and the membership that would if
// only the subject of a rule differs.
func (h *hinter) addNoRule() {
	o := &h.explanation
	if o.Policy == nil {
		return
	}
	for _, l := range o.Policy.Lines {
		group, ok := strings.CutPrefix(l.Fields[0].Wants, "group:")
		if ok && l.Effect == policy.Allow && !l.Fields[0].Matches && l.Fields[1].Matches && l.Fields[2].Matches && l.Fields[3].Matches &&
			o.Identity.User != identity.Default && group != identity.Authenticated && group != identity.Everybody && group != identity.Anonymous {
			h.add(hint{Text: fmt.Sprintf("%s allows the request for group %s: make the user a member", l.Position, group), File: h.config.policy,
				Write: "g, user:" + o.Identity.User + ", group:" + group})
		}
	}
	if path, ok := rulePath(o.Path); ok {
		h.add(hint{Text: "allow exactly this request", File: h.config.policy,
			Write: strings.Join([]string{"p", "user:" + o.Identity.User, o.Port, o.Method, path, policy.Allow}, ", ")})
	}
}

// rulePath returns a path as a rule writes it, and whether a rule can hold it.
func rulePath(path string) (string, bool) {
	if strings.ContainsAny(path, `,{}*"`) && path != "*" || strings.TrimSpace(path) != path || escape.Printable(path, 0) != path {
		return "", false
	}
	return path, true
}
