package site

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/policy"
)

// LintOptions are the parameters of Lint.
type LintOptions struct {
	Within       time.Duration // 0 is 30 days, and less for what lives shortly
	Now          func() time.Time
	Certificates []*x509.Certificate
	Program      Program
}

// Lint loads a configuration, and returns what loads and is probably wrong, ordered by file
// and line. Configuration errors are the error.
func Lint(path string, o LintOptions) ([]configerror.Finding, error) {
	files := fileset.New(nil)
	kept, err := mountKept(path, files, o.Program)
	if err != nil {
		return nil, err
	}
	o.Program.Generation = kept
	_, found, err := loadAndLint(newLoader(context.Background(), path, files, nil, o.Now, o.Program), o)
	return found, err
}

// loadAndLint returns the generation as Load does, and the findings of Lint.
func loadAndLint(l *loader, o LintOptions) (*Generation, []configerror.Finding, error) {
	path := l.path
	g, err := l.load()
	if err != nil {
		return nil, nil, err
	}
	data, err := l.files.Get(path)
	if err != nil {
		return nil, nil, err
	}
	var wrong errorlist.List
	x := &linter{loader: l, g: g, file: config.Parse(path, data, o.Program.forConfig(), &wrong), o: o, now: l.now()}
	x.addPolicy()
	x.warnings()
	x.users()
	x.overridden()
	x.program()
	if x.o.Program.Policy == nil {
		x.policy()
		x.quotas()
	}
	for i, p := range x.file.AllPorts() {
		x.port(p, i)
	}
	x.gateways()
	slices.SortStableFunc(x.found, func(a, b configerror.Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return g, x.found, nil
}

type linter struct {
	*loader
	g     *Generation
	file  *config.File
	o     LintOptions
	now   time.Time
	found []configerror.Finding

	rules   []policy.Rule // of policy.csv
	members []policy.Member
	granted map[string]bool // subjects that some rule allows something
}

// addPolicy takes the lines of the policy.
func (x *linter) addPolicy() {
	x.rules, x.members = x.g.Engine.Rules()
	x.granted = map[string]bool{}
	for _, r := range x.rules {
		x.granted[r.Subject] = x.granted[r.Subject] || r.Effect == policy.Allow
	}
}

// hasGrant reports whether some rule allows a user anything, directly or through a group.
// Deny rules do not count against it.
func (x *linter) hasGrant(user string) bool {
	if user == identity.Default {
		return slices.ContainsFunc(x.rules, x.isOpen)
	}
	return x.granted["user:"+user] || slices.ContainsFunc(x.g.Engine.Groups(user), func(group string) bool { return x.granted["group:"+group] })
}

// report adds a finding.
func (x *linter) report(about string, at configerror.Error, what, hint string) {
	x.found = append(x.found, configerror.Finding{About: about, File: at.File, Line: at.Line, What: what, Hint: hint})
}

func (x *linter) atPort(p config.Port) configerror.Error {
	return configerror.Error{File: x.path, Line: p.Line()}
}

// program reports what it does not check because the program provides it.
func (x *linter) program() {
	at := configerror.Error{File: x.path}
	if x.o.Program.Map != nil {
		x.report("users", at, "Options.Map maps certificates: no user of it is known here, and no mapping is checked", "test it in the program")
	}
	if x.o.Program.Policy != nil {
		x.report("policy", at, "Options.Policy decides: its rules are not known here, so the requests that a port allows are not checked", "test it in the program")
	}
	for _, name := range slices.Sorted(maps.Keys(x.o.Program.Certificates)) {
		x.report("ports", at, fmt.Sprintf("Options.Certificates provides the certificate of port %s: its names and its end are not checked", name), "watch its end in the program")
	}
}

// warnings reports what the server logs when it starts.
func (x *linter) warnings() {
	for _, w := range x.g.Warnings {
		if w.Hint == "" {
			w.Hint = "the server logs this when it starts"
		}
		x.found = append(x.found, w)
	}
}

// policy checks the rules.
func (x *linter) policy() {
	x.found = append(x.found, x.g.Engine.Lint()...)
	named := map[string]bool{}
	captures := false // a pattern may derive any user from a certificate
	for _, m := range x.g.Table.Mappings() {
		named[m.User] = true
		captures = captures || m.User == username.Variable
	}
	captures = captures || x.o.Program.Map != nil // it may lead to any user
	for _, p := range x.file.AllPorts() {
		named[p.Unmapped] = true
	}
	open := slices.ContainsFunc(x.file.AllPorts(), func(p config.Port) bool { return !p.Strict })
	reported := map[string]bool{}
	unused := func(subject, file string, line int) {
		user, ok := strings.CutPrefix(subject, "user:")
		at := configerror.Error{File: file, Line: line}
		switch {
		case reported[subject]:
			return
		case ok && user == identity.Default, subject == "group:"+identity.Anonymous:
			if open {
				return
			}
			x.report("policy", at, subject+" is never used: every port is strict", "set strict: false on a port, or remove the line")
		case ok && !named[user] && !captures:
			x.report("policy", at, "no mapping leads to "+subject, "mtlsguard users add --cert FILE --user "+user+", or remove the line")
		default:
			return
		}
		reported[subject] = true
	}
	for _, r := range x.rules {
		unused(r.Subject, r.File, r.Line)
	}
	for _, m := range x.members {
		unused(m.Subject, m.File, m.Line)
	}
}
