package audit

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// addRefusal adds to the line of a refused request what helps to find the cause. An allowed
// request has none of these fields.
func (e *Logger) addRefusal(r fieldAdder, req *http.Request, o *middleware.Outcome, nearest Nearest) {
	if o.Verified.IsZero() && len(o.Presented) > 0 {
		leaf := o.Presented[0]
		for _, f := range recordOf(leaf, trust.FingerprintOf(leaf)) {
			r.add(f.Key, f.Value.String())
		}
	}
	addLeaf(r, o.Presented, o.Verified.Leaf())
	r.add("host", escape.Printable(req.Host, maxPeerText))
	addServerName(r, o.ServerName)
	if (o.Reason == reason.Unmapped || o.Reason == reason.MappingExpired) && nearest != nil && !o.Verified.IsZero() {
		r.add("nearest", e.nearestOf(o, nearest))
	}
}

// nearestOf returns the nearest mapping of a certificate without a user. It keeps the text: a
// client that is refused again and again must not cause the comparison each time.
func (e *Logger) nearestOf(o *middleware.Outcome, nearest Nearest) string {
	fingerprint := o.Verified.Fingerprint()
	key := string(fingerprint[:]) + strconv.FormatUint(o.Generation, 10) + " " + o.Port
	if text, ok := e.nearest.Get(key); ok {
		return text
	}
	text := escape.Printable(nearest(o.Verified, o.Port), maxOwnText)
	e.nearest.Put(key, text)
	return text
}

// Bounds of the texts that nearestOf keeps.
const (
	maxNearest  = 1024
	nearestTime = time.Minute // a mapping may begin or end
)

// addLeaf adds what identifies a certificate beyond the fields of recordOf, and how many
// certificates the client sent. leaf is nil where the first of those sent is the leaf.
func addLeaf(r fieldAdder, sent []*x509.Certificate, leaf *x509.Certificate) {
	if leaf == nil && len(sent) > 0 {
		leaf = sent[0]
	}
	if leaf != nil {
		r.add("spki", trust.SPKIOf(leaf).String())
		r.add("san", alternativeNames(leaf))
	}
	if len(sent) > 0 {
		r.number("certificates", uint64(len(sent)))
	}
}

func addServerName(r fieldAdder, name string) { r.add("sni", escape.Printable(name, maxPeerText)) }

// errorText returns the text of an error. Texts of a refusal are our own, and quote those of
// the peer, shortened.
func errorText(err error) string {
	if _, ok := errors.AsType[*reason.Refusal](err); ok {
		return escape.Printable(err.Error(), maxOwnText)
	}
	return escape.Printable(err.Error(), maxPeerText)
}

// alternativeNames returns the subject alternative names of a certificate, at most maxOwnText
// bytes of them: URI, DNS name, email address and IP address, each with its type as openssl
// prints it. A name that could be read as two is quoted. Names of other types, and those beyond
// the limit, are counted.
func alternativeNames(c *x509.Certificate) string {
	var b strings.Builder
	more, full := 0, false
	for name := range san.All(c) {
		text := ""
		if !full { // a stranger's certificate may have thousands of names
			text = nameText(name)
			full = b.Len()+len(text)+len(", ") > maxOwnText
		}
		if full || text == "" {
			more++
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(text)
	}
	if more > 0 {
		if b.Len() > 0 {
			b.WriteString(" and ")
		}
		b.WriteString(strconv.Itoa(more) + " more")
	}
	return b.String()
}

// nameText returns an alternative name, or "" for one of another type.
func nameText(name san.Name) string {
	const tagIP = 7 // RFC 5280 section 4.2.1.6
	switch name.Tag {
	case san.URI:
		return "URI:" + nameValue(name.Value)
	case san.DNS:
		return "DNS:" + nameValue(name.Value)
	case san.Email:
		return "email:" + nameValue(name.Value)
	case tagIP:
		if n := len(name.Value); n == net.IPv4len || n == net.IPv6len {
			return "IP:" + net.IP(name.Value).String()
		}
	}
	return ""
}

// nameValue quotes a value that is not a plain word: a comma or a blank in it could begin
// another name.
func nameValue(value string) string {
	if len(value) <= maxPeerText && strings.IndexFunc(value, func(c rune) bool { return c <= ' ' || c > '~' || c == ',' || c == '"' || c == '\\' }) < 0 {
		return value
	}
	return escape.Quote(value, maxPeerText)
}
