package main

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/method"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// hint is what would change an answer: in words and, where it can be said exactly, the
// line of a file or the command.
type hint struct {
	Text    string `json:"text"`
	File    string `json:"file,omitempty"` // what to change
	Line    int    `json:"line,omitempty"` // where; 0 is at the end
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

// hints says what would change a refusal. They are ordered: what most people want
// comes first. None of them is a recommendation to let someone in.
func (x *asked) hints() []hint {
	out := []hint{}
	add := func(h hint) { out = append(out, h) }
	if x.live != nil && !x.live.Same {
		add(hint{Text: "the server has not loaded this configuration, or it is another server: reload it, and look for event=reload in its log"})
	}
	o := &x.answer
	p := x.site.port(o.Port)
	config := func(line int, text, write string) {
		add(hint{Text: text, File: x.site.path, Line: line, Write: write})
	}
	switch o.Reason {
	case "":
		if o.Unread {
			add(hint{Text: "net/http refuses this request by itself, whatever the configuration says: send a path that is escaped"})
		}
	case reason.UnknownAuthority:
		if p.gatewaysOnly() && o.Refused {
			add(hint{Text: "this port is for gateways: --cert is the gateway's own certificate, and --stated the user's", File: x.site.path, Line: p.Forwarded.Line})
			break
		}
		x.unknown(add, p)
	case reason.Expired, reason.Revoked, reason.WeakKey, reason.NotALeaf, reason.TooLarge, reason.BadCertificate, reason.NotYetValid:
		x.unusable(add, p)
	case reason.WrongUsage:
		if x.leaf != nil && len(x.leaf.ExtKeyUsage)+len(x.leaf.UnknownExtKeyUsage) == 0 && strings.Contains(o.Detail, "has no extended key usage") {
			config(p.trustLine, "a certificate without extended key usage is taken by the profile compatible", "profile: compatible")
		}
		add(hint{Text: "the client needs a certificate for client authentication: extendedKeyUsage=clientAuth, and keyUsage=digitalSignature if there is one"})
	case reason.RevocationUnknown:
		config(p.trustLine, "a CRL of the issuer that is in force is missing: of every authority between the leaf and its anchor", "crls: [ISSUER.crl]")
		config(p.trustLine, "or those of whom nothing is known are believed", "revocation: soft")
	case reason.NoCertificate:
		add(hint{Text: "the client sends a certificate: is there one in its configuration, and is its issuer among the names that the server asks for?", Command: "mtlsguard inspect HOST:PORT"})
		if !o.Refused {
			config(p.line, "or nobody in particular is the user Default, whom the policy must then allow it", "strict: false")
		}
	case reason.Unmapped:
		x.unmapped(add)
	case reason.Ambiguous:
		add(hint{Text: "two mappings of one kind name two users: remove or disable one of those that match", File: x.site.users, Command: "mtlsguard users remove --config " + shell(x.site.path) + " ID"})
	case reason.MappingExpired:
		for _, s := range o.Mapping {
			if s.Result == certmap.OutOfTime {
				add(hint{Text: fmt.Sprintf("mapping %s %s: change its not_before or not_after, or map the certificate anew", s.MappingID, s.Why), File: s.File, Line: s.Line})
			}
		}
	case reason.AmbiguousPath:
		if method.Valid(o.Method) && strings.Contains(o.Detail, "method is not known") {
			config(p.line, "the port takes further methods where it names them", fmt.Sprintf("methods: [%s]", strings.Join(append(p.Methods, o.Method), ", ")))
			break
		}
		add(hint{Text: "the client must send a target that can be read in one way: one slash between segments, no dot segments, no escaped slash, dot or backslash"})
	case reason.Misdirected:
		name := x.question.Host
		if name == "" {
			name = "NAME"
		}
		config(p.line, "the port serves other names only", fmt.Sprintf("server_names: [%s]", strings.Join(append(p.ServerNames, name), ", ")))
	case reason.UntrustedGateway:
		if x.leaf != nil {
			config(p.Forwarded.Line, "if this certificate is the gateway's, it belongs among its fingerprints", fmt.Sprintf("gateway: {fingerprints: [%q]}", trust.FingerprintOf(x.leaf)))
		}
		add(hint{Text: "a user who comes here without the gateway is refused: they are to come through it"})
	case reason.BadHeader:
		config(p.Forwarded.Line, "format must be how the gateway writes; docs/gateways.md has both sides", "format: nginx")
	case reason.NoRule:
		x.noRule(add)
	case reason.Denied:
		add(hint{Text: "deny beats allow: only without this line, or with a narrower one, is it allowed", File: o.Rule.File, Line: o.Rule.Line})
	default:
		add(hint{Text: "docs/reasons.md, under " + string(o.Reason)})
	}
	return out
}

// unknown tells a missing anchor from missing intermediates and from another authority
// of the same name.
func (x *asked) unknown(add func(hint), p sitePort) {
	chain := x.question.Certificates
	if len(chain) == 0 || x.trust == nil {
		return
	}
	top := chain[0] // of what leads up from the leaf
	for again := true; again; {
		again = false
		for _, c := range chain[1:] {
			if !c.Equal(top) && bytes.Equal(c.RawSubject, top.RawIssuer) && top.CheckSignatureFrom(c) == nil && !bytes.Equal(top.RawSubject, top.RawIssuer) {
				top, again = c, true
				break
			}
		}
	}
	for _, a := range x.trust.Anchors() {
		if bytes.Equal(a.RawSubject, top.RawIssuer) {
			add(hint{Text: fmt.Sprintf("the anchor %s has the right name and another key: the authority was renewed, or somebody uses its name. Compare the keys before you add one", escape.Printable(a.Subject.String(), 0))})
			return
		}
	}
	if bytes.Equal(top.RawSubject, top.RawIssuer) {
		add(hint{Text: "the certificate is self-signed, or the chain ends in an authority that is no anchor: " + escape.Printable(top.Subject.String(), 0)})
	} else {
		add(hint{Text: "if the issuer stands below an anchor, the client must send its certificate too, after its own: " + issuerText(top)})
	}
	add(hint{Text: "if the issuer is to be believed, its certificate is missing among the anchors: " + issuerText(top),
		File: x.site.path, Line: p.trustLine, Write: "anchors: " + anchorsWith(x.site, p, "ISSUER.pem")})
}

func anchorsWith(s *site, p sitePort, more string) string {
	var names []string
	for _, a := range p.anchors {
		names = append(names, beside(s.path, a))
	}
	return "[" + strings.Join(append(names, more), ", ") + "]"
}

// unusable is for certificates that no setting, or hardly one, makes good.
func (x *asked) unusable(add func(hint), p sitePort) {
	o := &x.answer
	renew := hint{Text: "the client needs another certificate; if its mapping is by fingerprint or key, map that too",
		Command: "mtlsguard users add --config " + shell(x.site.path) + " --cert NEW.pem --user NAME"}
	switch o.Reason {
	case reason.NotYetValid:
		add(hint{Text: "a clock is wrong, here or where the certificate was issued: look at date -u first"})
	case reason.NotALeaf:
		add(hint{Text: "the client presents an authority's certificate: its own stands first in its file"})
		if x.leaf != nil && x.leaf.IsCA {
			return
		}
		add(renew)
	case reason.WeakKey:
		if x.leaf != nil && x.leaf.PublicKeyAlgorithm == x509.RSA && strings.Contains(o.Detail, "8192") {
			add(hint{Text: "the profile compatible takes RSA of up to 8192 bits", File: x.site.path, Line: p.trustLine, Write: "profile: compatible"})
		}
		add(renew)
	default:
		add(renew)
	}
}

// unmapped repeats near misses, and has the command for a mapping.
func (x *asked) unmapped(add func(hint)) {
	for _, s := range x.answer.Mapping {
		switch s.Result {
		case certmap.Near, certmap.OtherPort, certmap.OtherIssuer, certmap.Disabled:
			add(hint{Text: fmt.Sprintf("mapping %s is near: %s", s.MappingID, s.Why), File: s.File, Line: s.Line})
		}
	}
	if x.cert != "" {
		add(hint{Text: "one line makes the certificate a user; NAME is theirs", File: x.site.users,
			Command: "mtlsguard users add --config " + shell(x.site.path) + " --cert " + shell(x.cert) + " --user NAME"})
	}
}

// noRule has the line that would allow it, and the membership that would where a rule
// misses in the subject alone.
func (x *asked) noRule(add func(hint)) {
	o := &x.answer
	if o.Policy == nil {
		return
	}
	for _, l := range o.Policy.Lines {
		group, ok := strings.CutPrefix(l.Fields[0].Wants, "group:")
		if ok && l.Effect == policy.Allow && !l.Fields[0].Matches && l.Fields[1].Matches && l.Fields[2].Matches && l.Fields[3].Matches &&
			o.Identity.User != identity.Default && group != identity.Authenticated && group != identity.Everybody && group != identity.Anonymous {
			add(hint{Text: fmt.Sprintf("%s allows it to group %s: one line makes the user a member", l.Position, group), File: x.site.policy,
				Write: "g, user:" + o.Identity.User + ", group:" + group})
		}
	}
	if path, ok := literal(o.Path); ok {
		add(hint{Text: "one line allows exactly this", File: x.site.policy,
			Write: strings.Join([]string{"p", "user:" + o.Identity.User, o.Port, o.Method, path, policy.Allow}, ", ")})
	}
}

// literal reports whether a path can stand in a rule as it is.
func literal(path string) (string, bool) {
	if strings.ContainsAny(path, `,{}*"`) && path != "*" || strings.TrimSpace(path) != path || escape.Printable(path, 0) != path {
		return "", false
	}
	return path, true
}
