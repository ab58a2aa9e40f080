package main

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/mapresult"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/username"
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
			newer = out.isClaimed() // anybody can claim a user's name: that does not hide the user's own lines
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
	g, err := site.Load(a.ctx, x.config.path, fileset.New(nil), nil, a.now)
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
	if stage := decidingStage(o); stage != "mapping" && stage != "policy" {
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

// mapLine returns the user that the current mappings give to the certificate of the line,
// as far as the line shows it, or "" for a refusal.
func (x *explainResult) mapLine(g *site.Generation, now time.Time) (user, mapping string) {
	l, o := x.log, &x.explanation
	x.addMappingSteps(g, l, now)
	var users []string
	for _, s := range o.Mapping {
		if s.Result == mapresult.Matches && !slices.Contains(users, s.User) {
			users = append(users, s.User)
		}
	}
	if len(users) > 1 {
		return "", "" // still ambiguous
	}
	for _, s := range o.Mapping { // a mapping by fingerprint comes first and decides
		switch s.Result {
		case mapresult.Matches:
			if s.User == "" {
				l.undecided = append(l.undecided, "which user the pattern "+s.MappingID+" gives to the certificate")
				return "", ""
			}
			if s.Kind != "fingerprint" && (s.Kind != "spki" || s.Wanted != l.SPKI) && l.Fingerprint != "" {
				l.undecided = append(l.undecided, "whether mapping "+s.MappingID+" still matches the certificate, and no other mapping comes before it")
			}
			return s.User, s.MappingID
		case mapresult.Disabled, mapresult.OutOfTime:
			o.Allowed, o.Reason, o.Detail = false, reason.Unmapped, s.Why
			if s.Result == mapresult.OutOfTime {
				o.Reason = reason.MappingExpired
			}
			o.Status = o.Reason.Status()
			return "", ""
		}
	}
	switch {
	case l.Mapping != "":
		l.undecided = append(l.undecided, "which mapping matches the certificate: the line's mapping "+l.Mapping+" no longer applies on port "+l.Port)
		o.Allowed, o.Reason, o.Detail = false, reason.Unmapped, "mapping "+l.Mapping+" of the line no longer applies"
		o.Status = o.Reason.Status()
		return "", ""
	case l.Fingerprint != "":
		l.undecided = append(l.undecided, "whether a mapping of another kind than fingerprint and key matches the certificate now")
	}
	if l.Reason == string(reason.Unmapped) || l.Reason == string(reason.Ambiguous) || l.Reason == string(reason.MappingExpired) {
		return "", ""
	}
	return l.User, "" // unmapped: USER, an authenticator, or Default
}

// names reports whether the line names a mapping: as the one that gave the user, or in the
// text of a refusal by the mappings.
func (l *loggedRequest) names(id string) bool {
	switch reason.Reason(l.Reason) {
	case reason.Unmapped, reason.Ambiguous, reason.MappingExpired:
		return strings.Contains(l.Error, quoted(id))
	}
	return l.Mapping != "" && l.Mapping == id
}

// addMappingSteps adds the mappings that the line shows to match: by fingerprint, and the
// one that it names.
func (x *explainResult) addMappingSteps(g *site.Generation, l *loggedRequest, now time.Time) {
	steps := []certmap.Step{}
	for _, m := range g.Table.Mappings() {
		d := newMappingReport(m)
		byPrint := d.Kind == "fingerprint" && d.Value == l.Fingerprint
		byKey := d.Kind == "spki" && d.Value == l.SPKI && d.Issuer == ""
		if !byPrint && !byKey && !l.names(m.ID) {
			continue
		}
		s := certmap.Step{MappingID: m.ID, User: m.User, Kind: d.Kind, File: m.File, Line: m.Line, Wanted: d.Value, Got: "the certificate that the line names", Result: mapresult.Matches}
		if m.User == username.Variable {
			s.User = l.User // empty if the line has none
		}
		switch {
		case len(m.Ports) > 0 && !slices.Contains(m.Ports, l.Port):
			s.Result, s.Why = mapresult.OtherPort, "the mapping is for "+strings.Join(m.Ports, ", ")+" only, and this is "+l.Port
		case m.Disabled:
			s.Result, s.Why = mapresult.Disabled, "the certificate is refused: a disabled mapping still matches"
		case !m.NotBefore.IsZero() && now.Before(m.NotBefore):
			s.Result, s.Why = mapresult.OutOfTime, "valid from "+formatTime(m.NotBefore)
		case !m.NotAfter.IsZero() && now.After(m.NotAfter):
			s.Result, s.Why = mapresult.OutOfTime, "was valid until "+formatTime(m.NotAfter)
		}
		steps = append(steps, s)
	}
	outrank(steps)
	if len(steps) == 0 && l.Fingerprint != "" {
		steps = append(steps, certmap.Step{Result: mapresult.Rest, Why: "no mapping by this fingerprint"})
	}
	x.explanation.Mapping = steps
}

// outrank sorts steps by kind, and marks those after the first kind that matches, in the
// order of package certmap. Steps of the kinds after spki are those that the line names, all
// of one kind.
func outrank(steps []certmap.Step) {
	rank := func(s certmap.Step) int { return slices.Index([]string{"spki", "fingerprint"}, s.Kind) }
	slices.SortStableFunc(steps, func(a, b certmap.Step) int { return rank(b) - rank(a) })
	decides := -2
	for i := range steps {
		switch steps[i].Result {
		case mapresult.Matches, mapresult.Disabled, mapresult.OutOfTime:
			if decides = max(decides, rank(steps[i])); rank(steps[i]) < decides {
				steps[i].Result = mapresult.Outranked
			}
		}
	}
	// Within a kind a valid mapping decides before those that are not in effect.
	slices.SortStableFunc(steps, func(a, b certmap.Step) int {
		valid := func(s certmap.Step) int {
			if s.Result == mapresult.Matches {
				return 1
			}
			return 0
		}
		return valid(b) - valid(a)
	})
}

// logReport is the line of the log in the JSON of explain.
type logReport struct {
	At        string        `json:"at"` // file:line
	Time      string        `json:"time"`
	Event     string        `json:"event"`
	Outcome   string        `json:"outcome"`
	Reason    reason.Reason `json:"reason,omitempty"`
	Reference string        `json:"reference,omitempty"`
	Matched   int           `json:"matched"`
	Refused   int           `json:"refused"`
	Changed   bool          `json:"changed"` // whether the files decide otherwise than the line
}

func (x *explainResult) logReport() *logReport {
	l := x.log
	return &logReport{
		At: l.position(), Time: formatTime(l.Time), Event: l.Event, Outcome: l.Outcome, Reason: reason.Reason(l.Reason), Reference: l.Reference,
		Matched: l.matched, Refused: l.refused, Changed: x.changedSince(),
	}
}

// changedSince reports whether the files decide otherwise than the line.
func (x *explainResult) changedSince() bool {
	o := &x.explanation
	if x.log.Event == "handshake" && !o.Refused {
		return true
	}
	return o.Allowed != (x.log.Outcome == "allow") || string(o.Reason) != x.log.Reason
}

// printLine prints the line of the log, and what it leaves open.
func (x *explainResult) printLine(a *app) {
	l := x.log
	text := formatTime(l.Time) + "  " + l.Event + " " + l.then()
	if l.Reference != "" {
		text += "  reference " + l.Reference
	}
	a.printf("log %s\n  %s\n", l.position(), printable(text))
	switch {
	case l.matched < 2:
	case l.matched == l.refused:
		a.printf("  the newest of %d refusals\n", l.matched)
	default:
		a.printf("  the newest of %d lines, of which %s\n", l.matched, plural(l.refused, "is a refusal", "are refusals"))
	}
	if x.changedSince() {
		a.printf("  the files decide otherwise now\n")
	}
	if len(l.undecided) > 0 {
		a.printf("not decided without the certificate\n")
		for _, what := range l.undecided {
			a.printf("  %s\n", printable(what))
		}
	}
}

// lineRows returns what the line says about the handshake.
func (x *explainResult) lineRows() [][]string {
	l, o := x.log, &x.explanation
	var rows [][]string
	switch {
	case l.Fingerprint == "":
		rows = append(rows, []string{"presented", "no certificate"})
	default:
		rows = append(rows, []string{"presented", printable(l.Subject)}, []string{"", "issued by " + printable(l.Issuer)},
			[]string{"", "fingerprint " + printable(l.Fingerprint)}, []string{"", "serial " + printable(l.Serial)})
		if l.SAN != "" {
			rows = append(rows, []string{"", "names " + printable(l.SAN)})
		}
	}
	if l.Gateway != "" {
		rows = append(rows, []string{"gateway", printable(l.Gateway)})
	}
	if o.Reason == reason.Misdirected {
		rows = append(rows, []string{"names", "Host " + printable(l.Host) + ", SNI " + cmp.Or(printable(l.SNI), "none")})
	}
	if o.Refused {
		rows = append(rows, []string{"refused", printable(string(o.Reason) + ": " + o.Detail)})
	}
	return rows
}

// printable returns a text of the log as a terminal may show it.
func printable(text string) string { return escape.Printable(text, 0) }
