package main

import (
	"crypto/x509"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/reason"
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
	add := reasonHints[h.explanation.Reason]
	if add == nil {
		add = (*hinter).addReference
	}
	add(h)
}

// reasonHints are the functions that add the hints for a refusal, by its reason.
var reasonHints = map[reason.Reason]func(*hinter){
	"":                       (*hinter).addUnread,
	reason.Address:           (*hinter).addAddress,
	reason.Ambiguous:         (*hinter).addAmbiguous,
	reason.AmbiguousPath:     (*hinter).addAmbiguousPath,
	reason.BadCertificate:    (*hinter).addReplaceCertificate,
	reason.BadHeader:         (*hinter).addBadHeader,
	reason.Denied:            (*hinter).addDenied,
	reason.Expired:           (*hinter).addReplaceCertificate,
	reason.Limit:             (*hinter).addLimit,
	reason.MappingExpired:    (*hinter).addMappingExpired,
	reason.Misdirected:       (*hinter).addMisdirected,
	reason.NoCertificate:     (*hinter).addNoCertificate,
	reason.NoRule:            (*hinter).addNoRule,
	reason.NotALeaf:          (*hinter).addReplaceCertificate,
	reason.NotYetValid:       (*hinter).addReplaceCertificate,
	reason.RevocationUnknown: (*hinter).addRevocationUnknown,
	reason.Revoked:           (*hinter).addRevoked,
	reason.TooLarge:          (*hinter).addReplaceCertificate,
	reason.UnknownAuthority:  (*hinter).addUnknownAuthority,
	reason.Unmapped:          (*hinter).addUnmapped,
	reason.UntrustedGateway:  (*hinter).addUntrustedGateway,
	reason.WeakKey:           (*hinter).addReplaceCertificate,
	reason.WrongUsage:        (*hinter).addWrongUsage,
}

// addReference is for the reasons without a hint of their own.
func (h *hinter) addReference() {
	h.add(hint{Text: "docs/reasons.md#" + string(h.explanation.Reason) + " describes this reason"})
}
