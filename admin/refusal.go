package admin

import (
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Bounds of what one refusal holds: all of it may come from a stranger.
const (
	maxTarget       = 512      // bytes of a path or a request target
	maxDetail       = 512      // bytes of the guard's own text, which quotes the caller's
	maxWord         = 128      // bytes of a method, a user name, an address
	maxCertificates = 10       // of a chain
	maxChain        = 64 << 10 // bytes of a chain; a longer one is not kept
)

// refusal is one refused request or handshake. It does not change once it is recorded.
type refusal struct {
	id         string // the reference of the answer and the log; "handshake-N" for a handshake, which has none
	sequence   uint64 // the order of all refusals of a Page, from 1
	at         time.Time
	port       string
	stage      string
	reason     reason.Reason
	user       string // also the user that wrong credentials name
	mapping    string
	method     string
	path       string // as authorized
	target     string // as sent, without the query; "" if it was longer than maxTarget
	host       string
	remote     string
	serverName string
	rule       string
	detail     string
	generation uint64
	disabled   bool           // by the mapping, which shuts the certificate out
	forwarded  bool           // a gateway sent the certificate, in a header that is not kept
	chain      []*certificate // leaf first; nil without one
}

// size returns the bytes that a refusal takes, without its certificates.
func (r *refusal) size() int {
	return int(unsafe.Sizeof(*r)) + len(r.id) + len(r.user) + len(r.mapping) + len(r.method) + len(r.path) + len(r.target) +
		len(r.host) + len(r.remote) + len(r.serverName) + len(r.rule) + len(r.detail) + len(r.chain)*int(unsafe.Sizeof(r.chain[0]))
}

// newRequestRefusal returns the refusal of a request.
func newRequestRefusal(req *http.Request, o *middleware.Outcome, at time.Time) *refusal {
	r := &refusal{
		id: o.Reference, at: at, port: o.Port, stage: report.StageOf(o.Reason), reason: o.Reason, user: clip(o.ClaimedUser, maxWord),
		method: clip(o.Method, maxWord), path: clip(o.Path, maxTarget), serverName: clip(o.ServerName, maxWord),
		detail: clip(o.Detail, maxDetail), generation: o.Generation, forwarded: !o.Gateway.IsZero(),
	}
	if o.Identity != nil {
		r.user, r.mapping = clip(o.Identity.User, maxWord), clip(o.Identity.MappingID, maxWord)
	}
	if o.DisabledMapping != "" {
		r.mapping, r.disabled = clip(o.DisabledMapping, maxWord), true
	}
	if o.Rule.Line > 0 {
		r.rule = o.Rule.String()
	}
	if req != nil {
		r.host, r.remote = clip(req.Host, maxWord), clip(req.RemoteAddr, maxWord)
		if target, _, _ := strings.Cut(req.RequestURI, "?"); len(target) <= maxTarget { // the query may hold secrets
			r.target = strings.Clone(target)
		}
	}
	return r
}

// newHandshakeRefusal returns the refusal of a handshake.
func newHandshakeRefusal(h *ports.Handshake, at time.Time, sequence uint64) *refusal {
	r := &refusal{
		id: "handshake-" + strconv.FormatUint(sequence, 10), at: at, port: h.Port, stage: "handshake", reason: h.Reason,
		serverName: clip(h.ServerName, maxWord), remote: address(h.Remote),
	}
	if h.Err != nil {
		r.detail = clip(h.Err.Error(), maxDetail)
	}
	return r
}

// presented returns the chain that the caller of a refused request sent, or that its gateway
// forwarded.
func presented(o *middleware.Outcome) []*x509.Certificate {
	if o.Verified.IsZero() {
		return o.Presented
	}
	chain := o.Verified.Chains()[0]
	if len(chain) > 1 {
		chain = chain[:len(chain)-1] // the anchor is the server's own
	}
	return chain
}

// clip returns a copy of s of at most n bytes. A copy, because a part of a text keeps the whole
// of it in memory: a path that of a request's first line, with its query.
func clip(s string, n int) string {
	return strings.Clone(s[:min(len(s), n)])
}

func address(a net.Addr) string {
	if a == nil {
		return ""
	}
	return clip(a.String(), maxWord)
}

// certificates parses the chain of a refusal.
func (r *refusal) certificates() []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range r.chain {
		parsed, err := x509.ParseCertificate(c.der)
		if err != nil {
			break // it was parsed before: cannot happen
		}
		out = append(out, parsed)
	}
	return out
}

// requestTarget returns the target with which the request can be made again, and whether there
// is one.
func (r *refusal) requestTarget() (string, bool) {
	switch {
	case r.stage == "handshake":
		return "/", true // the handshake is refused before
	case r.target != "":
		return r.target, true
	case len(r.path) < maxTarget && r.path != "":
		return (&url.URL{Path: r.path}).EscapedPath(), true
	}
	return "", false
}

// apiRefusal is a refusal as the API lists it. Its texts are escaped: a caller may have sent
// characters that hide others.
type apiRefusal struct {
	Time        string        `json:"time"`
	Port        string        `json:"port"`
	Stage       string        `json:"stage"`
	Reason      reason.Reason `json:"reason"`
	Reference   string        `json:"reference"`
	User        string        `json:"user,omitempty"`
	Mapping     string        `json:"mapping,omitempty"`
	Subject     string        `json:"subject,omitempty"`
	Issuer      string        `json:"issuer,omitempty"`
	Serial      string        `json:"serial,omitempty"`
	Fingerprint string        `json:"fingerprint,omitempty"`
	NotAfter    string        `json:"not_after,omitempty"`
	Method      string        `json:"method,omitempty"`
	Path        string        `json:"path,omitempty"`
	Remote      string        `json:"remote,omitempty"`
	Host        string        `json:"host,omitempty"`
	ServerName  string        `json:"server_name,omitempty"`
	Rule        string        `json:"rule,omitempty"`
	Detail      string        `json:"detail,omitempty"`
	Generation  uint64        `json:"generation,omitempty"` // 0 for a handshake
	Forwarded   bool          `json:"forwarded,omitempty"`
	Sequence    uint64        `json:"sequence"` // for after
}

// view returns the refusal for people and programs.
func (r *refusal) view() apiRefusal {
	out := apiRefusal{
		Time: report.Time(r.at), Port: r.port, Stage: r.stage, Reason: r.reason, Reference: r.id, User: escape.Printable(r.user, 0), Mapping: r.mapping,
		Method: escape.Printable(r.method, 0), Path: escape.Printable(r.path, 0), Remote: escape.Printable(r.remote, 0), Host: escape.Printable(r.host, 0),
		ServerName: escape.Printable(r.serverName, 0), Rule: r.rule, Detail: escape.Printable(r.detail, 0), Generation: r.generation,
		Forwarded: r.forwarded, Sequence: r.sequence,
	}
	if len(r.chain) > 0 {
		d := r.chain[0].describe()
		out.Subject, out.Issuer, out.Serial, out.Fingerprint, out.NotAfter = d.Subject, d.Issuer, d.Serial, d.Fingerprint, d.NotAfter
	}
	return out
}

// who returns the caller that was refused: the user, or else the subject.
func (v *apiRefusal) who() string {
	switch {
	case v.User != "":
		return v.User
	case v.Subject != "":
		return v.Subject
	}
	return "no certificate"
}
