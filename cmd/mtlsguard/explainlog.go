package main

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// loggedRequest is the line of a log that names the request to explain.
type loggedRequest struct {
	logLine
	file      string
	matched   int      // lines about requests that match
	refused   int      // refusals among them
	undecided []string // what only the certificate can show
	history   logHistory
}

// position returns the place of the line.
func (l *loggedRequest) position() string { return fmt.Sprintf("%s:%d", l.file, l.number) }

// then returns the decision in the line.
func (l *loggedRequest) then() string { return strings.TrimSpace(l.Outcome + " " + l.Reason) }

// hasCertificate reports whether the caller had a certificate, or came through a gateway.
func (l *loggedRequest) hasCertificate() bool { return l.Fingerprint != "" || l.Gateway != "" }

// findLine returns the newest line that the flags select.
func (c *explainCmd) findLine(a *app) (*loggedRequest, error) {
	if c.logFilter == (logFilter{}) {
		return nil, usageError("--log needs the line", "--reference ID of the refusal, --fingerprint SHA256, --user NAME or --refused")
	}
	out := &loggedRequest{file: c.Log}
	skipped, err := readWholeLog(a, c.Log, c.needle(), func(_ []byte, l *logLine) {
		if !l.isRequest() || !c.matches(l) {
			return
		}
		out.matched++
		if l.Outcome == "refuse" {
			out.refused++
		}
		newer := !l.Time.Before(out.Time)
		if c.User != "" && l.isClaimed() != out.isClaimed() {
			newer = out.isClaimed() // any client can claim a user's name: that does not hide the user's own lines
		}
		if out.matched == 1 || newer {
			out.logLine = *l
		}
	})
	switch {
	case err != nil:
		return nil, err
	case out.matched == 0:
		hint := "is this the log of the right server, and of the right time? Lines about anonymous callers and handshakes are sampled. To see what it has: mtlsguard log " + shellQuote(c.Log) + " --refused"
		if skipped > 0 {
			hint = plural(skipped, "line is", "lines are") + " not JSON: leave out what stands before it, for example by journalctl -o cat or docker compose logs --no-log-prefix"
		}
		return nil, &configerror.Error{File: c.Log, What: "no line about a request matches", Hint: hint}
	}
	return out, out.readHistory(a)
}

// takeRequest fills in the request of the line. With a certificate the request is explained
// as a new one.
func (c *explainCmd) takeRequest(l *loggedRequest) {
	c.Port, c.Method, c.Path = l.Port, l.Method, l.Path
	if c.Name == "" {
		c.Name = l.Host
	}
	if c.Cert == "" {
		return
	}
	if reason.Reason(l.Reason) != reason.AmbiguousPath && strings.HasPrefix(l.Path, "/") {
		c.Path = (&url.URL{Path: l.Path}).EscapedPath() // the line has the path as it was authorized
	}
	if l.Event == "handshake" {
		c.Method, c.Path = "GET", "/"
		l.undecided = append(l.undecided, "which request would have followed the handshake: GET / is explained")
	}
}

// checkCertificate returns an error if the given certificate is not the one of the line.
func (l *loggedRequest) checkCertificate(x *explainResult) error {
	name, chain := x.certFile, x.request.Certificates
	if x.forwardedFile != "" {
		name, chain = x.forwardedFile, x.forwarded
	}
	if len(chain) == 0 || trust.FingerprintOf(chain[0]).String() == l.Fingerprint {
		return nil
	}
	what := "this is not the certificate of " + l.position()
	if l.Fingerprint == "" {
		what = l.position() + " names no certificate"
	}
	return &configerror.Error{File: name, What: what, Hint: "leave the certificate out; the fingerprint of the line is: " + cmp.Or(l.Fingerprint, "none")}
}

// explainLine explains the request of the line from the line and the files. It decides
// again what needs no certificate: mappings by fingerprint, the mapping that the line
// names, and the policy. The rest stays as the line has it.
func (x *explainResult) explainLine(a *app, server *mtlsguard.Server) error {
	l := x.log
	if !l.hasCertificate() && !x.config.port(l.Port).isForwarded() && (l.Reason == string(reason.NoCertificate) || l.User == identity.Default && !l.isClaimed()) {
		request := x.request
		if l.Event == "handshake" {
			request.Method, request.Path = "GET", "/"
		}
		var err error
		x.explanation, err = server.Explain(a.ctx, request)
		return err
	}
	g, err := site.Load(a.ctx, x.config.path, fileset.New(nil), nil, a.now, program(x.config.path))
	if err != nil {
		return err
	}
	x.mappings = g.Table.Mappings()
	l.history.findMapping(x.mappings, a.now())
	r := reason.Reason(l.Reason)
	x.explanation = mtlsguard.Explanation{
		Outcome: middleware.Outcome{Allowed: l.Outcome == "allow", Reason: r, Detail: strings.TrimPrefix(l.Error, l.Reason+": "), Port: l.Port, Method: l.Method, Path: l.Path},
		Refused: l.Event == "handshake",
	}
	o := &x.explanation
	if !o.Allowed && !o.Refused {
		o.Status = r.Status()
	}
	if l.hasCertificate() {
		l.undecided = append(l.undecided, "whether port "+l.Port+" trusts the certificate now")
	}
	if strings.HasSuffix(l.Path, "…") {
		l.undecided = append(l.undecided, "what follows the end of the path, which is cut in the line")
	}
	if stage := report.Stage(o); stage != "mapping" && stage != "policy" && stage != "quota" {
		x.addMappingSteps(g, l, a.now())
		return nil
	}
	user, id := x.mapLine(g, a.now())
	if user == "" {
		return nil
	}
	x.decide(g, user, id)
	return nil
}

// decide asks the policy about a user.
func (x *explainResult) decide(g *site.Generation, user, mapping string) {
	l, o := x.log, &x.explanation
	via := identity.TLS
	switch {
	case l.Gateway != "":
		via = identity.Forwarded
	case user == identity.Default:
		via = identity.ViaAnonymous
	case l.Fingerprint == "":
		via = identity.Authenticator
	}
	o.Identity = &identity.Identity{User: user, Groups: g.Engine.Groups(user), Port: l.Port, Via: via, MappingID: mapping, Fingerprint: l.Fingerprint}
	explained := g.Engine.Explain(policy.Request{User: user, Port: l.Port, Method: l.Method, Path: l.Path})
	d := explained.Decision
	o.Policy, o.Rule, o.Allowed, o.Reason, o.Detail, o.Status = &explained, d.Rule, d.Allowed, d.Reason, "", 0
	if !d.Allowed {
		if o.Reason == "" {
			o.Reason = reason.PolicyError
		}
		o.Status = o.Reason.Status()
	}
}
