package main

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/hostname"
	"github.com/mtlsguard/mtlsguard/internal/mapresult"
	"github.com/mtlsguard/mtlsguard/internal/method"
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
	New     bool   `json:"new_line,omitempty"` // whether write is a new line before the line, and does not replace it
	Command string `json:"command,omitempty"`
}

func (h hint) print(a *app) {
	a.printf("hint: %s\n", escape.Printable(h.Text, 0))
	switch {
	case h.Command != "":
		a.printf("    %s\n", escape.Printable(h.Command, 0))
	case h.Write != "" && h.New:
		a.printf("    %s:%d, a new line: %s\n", h.File, h.Line, escape.Printable(h.Write, 0))
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
	if h.port.isForwarded() && (!x.explanation.Gateway.IsZero() || x.log != nil && x.log.Gateway != "") {
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

// addSet adds a hint that sets a key of a mapping in mtlsguard.yaml and keeps its other
// keys. If the file has a form that cannot be edited by lines, the hint names the key alone.
func (h *hinter) addSet(text string, m *yaml.Node, key, value string) {
	e, ok := h.config.lines.set(m, key, value)
	h.addEdit(text, m, key+": "+value, e, ok)
}

// addExtend does the same for one more element of a list.
func (h *hinter) addExtend(text string, m *yaml.Node, key, value string) {
	e, ok := h.config.lines.extend(m, key, value)
	h.addEdit(text, m, key+": "+value, e, ok)
}

func (h *hinter) addEdit(text string, m *yaml.Node, change string, e configEdit, ok bool) {
	if !ok {
		h.add(hint{Text: text + " (" + change + ")", File: h.config.path, Line: m.Line})
		return
	}
	h.add(hint{Text: text, File: h.config.path, Line: e.line, Write: e.text, New: e.add})
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
	if h.log != nil {
		h.addLog()
	}
	o, p := &h.explanation, h.port
	switch o.Reason {
	case "":
		if o.Unread {
			h.add(hint{Text: "net/http rejects this request before the guard: send an escaped path that begins with a slash"})
		}
	case reason.UnknownAuthority:
		if p.isForwarded() && o.Refused && h.log != nil {
			h.add(hint{Text: "this port is for gateways, and it does not trust this client as one: users must connect to the gateway", File: h.config.path, Line: p.Forwarded.Line})
			break
		}
		if p.isForwarded() && o.Refused {
			h.add(hint{Text: "this port is for gateways: give the gateway's own certificate with --cert, and the user's with --forwarded", File: h.config.path, Line: p.Forwarded.Line})
			break
		}
		h.addUnknownAuthority()
	case reason.Revoked:
		h.addReplaceCertificate()
		h.addProof()
	case reason.Expired, reason.WeakKey, reason.NotALeaf, reason.TooLarge, reason.BadCertificate, reason.NotYetValid:
		h.addReplaceCertificate()
	case reason.WrongUsage:
		h.add(hint{Text: "the client needs a certificate for client authentication: extendedKeyUsage=clientAuth, and keyUsage=digitalSignature if there is one"})
		leaf := h.leafCertificate()
		if (leaf == nil || len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0) && strings.Contains(o.Detail, "has no extended key usage") {
			h.addSet("or profile compatible accepts every certificate without an extended key usage", &p.Trust, "profile", "compatible")
		}
	case reason.RevocationUnknown:
		h.addRevocationUnknown()
	case reason.NoCertificate:
		h.add(hint{Text: "the client must send a certificate: check that its configuration names one, and that the issuer is among the authorities that the server lists", Command: "mtlsguard inspect HOST:PORT"})
		if !o.Refused {
			h.addSet("or make anonymous callers the user Default; the policy must then allow the request for Default", &p.node, "strict", "false")
		}
	case reason.Unmapped:
		h.addUnmapped()
	case reason.Ambiguous:
		for _, s := range o.Mapping {
			if s.Result == mapresult.Matches {
				h.add(hint{Text: fmt.Sprintf("two mappings of the same kind name two users: if the certificate is not user %s, remove %s", s.User, s.MappingID), File: s.File, Line: s.Line,
					Command: h.usersCommand("remove", shellQuote(s.MappingID))})
			}
		}
	case reason.MappingExpired:
		for _, s := range o.Mapping {
			if s.Result == mapresult.OutOfTime {
				h.add(hint{Text: fmt.Sprintf("mapping %s %s: change its not_before or not_after, or add another mapping", s.MappingID, s.Why), File: s.File, Line: s.Line})
			}
		}
	case reason.AmbiguousPath:
		if method.Valid(o.Method) && strings.Contains(o.Detail, "method is not known") {
			h.addExtend("list the method in the methods of the port", &p.node, "methods", o.Method)
			break
		}
		if upper := strings.ToUpper(o.Method); upper != o.Method && method.Valid(upper) {
			h.add(hint{Text: "methods are case-sensitive: the client must send " + upper})
			break
		}
		h.add(hint{Text: "the client must send a target with one reading: one slash between segments, no dot segments, no escaped slash, dot or backslash" + escapesIn(o.Path) + ". No setting of the server allows it"})
	case reason.Misdirected:
		name := hostname.Canonical(h.request.Host) // as a client sends it, perhaps with a port
		if !hostname.Valid(name) {
			name = "NAME"
		}
		h.addExtend("add the name to the server_names of the port", &p.node, "server_names", yamlText(name))
	case reason.UntrustedGateway:
		digest := ""
		if h.leaf != nil {
			digest = trust.FingerprintOf(h.leaf).String()
		} else if h.log != nil {
			digest = h.log.Gateway
		}
		if digest != "" {
			h.addExtend("if this certificate is the gateway's, add its fingerprint", cmp.Or(valueOf(&p.Forwarded, "gateway"), &p.Forwarded), "fingerprints", strconv.Quote(digest))
		}
		h.add(hint{Text: "users are refused on this port if they connect without the gateway"})
	case reason.BadHeader:
		h.addBadHeader()
	case reason.Limit:
		h.addLimit()
	case reason.Address:
		h.add(hint{Text: "if the client may connect from its address, change addresses of the port, or of the whole file: add its range to allow, or remove it from deny"})
	case reason.NoRule:
		h.addNoRule()
	case reason.Denied:
		h.addDenied()
	default:
		h.add(hint{Text: "docs/reasons.md#" + string(o.Reason) + " describes this reason"})
	}
}
