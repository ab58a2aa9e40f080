package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/source"
)

// checkNext loads a generation as each kind of nodes would. It returns the findings that the parent does
// not have, and what needs --yes. The error joins the configuration errors.
func checkNext(ctx context.Context, configs []nodeConfig, parent, g *source.Generation, now func() time.Time) (findings []configerror.Finding, needsYes []string, err error) {
	var wrong errorlist.List
	for _, n := range configs {
		var before loaded
		if parent != nil {
			// An error is no reason to stop: the new generation may be the one without it.
			before, _ = n.load(ctx, parent, nil, now)
		}
		after, err := n.load(ctx, g, before.Generation, now)
		wrong.Merge(err, configerror.Error{File: n.path})
		if err != nil {
			continue
		}
		for _, f := range after.findings {
			if !f.Note && !slices.ContainsFunc(before.findings, func(b configerror.Finding) bool { return sameFinding(f, b) }) && !slices.Contains(findings, f) {
				findings = append(findings, f)
			}
		}
		for _, why := range []string{allowsNothing(after), lacksMappings(before, after)} {
			if why != "" && !slices.Contains(needsYes, why) {
				needsYes = append(needsYes, why)
			}
		}
	}
	return findings, needsYes, wrong.Err()
}

// sameFinding reports whether two findings are the same, regardless of their lines.
func sameFinding(a, b configerror.Finding) bool {
	return a.File == b.File && a.What == b.What
}

// allowsNothing returns why a generation denies everybody, or "".
func allowsNothing(g loaded) string {
	if g.Engine == nil {
		return ""
	}
	rules, _ := g.Engine.Rules()
	if slices.ContainsFunc(rules, func(r policy.Rule) bool { return r.Effect == policy.Allow }) {
		return ""
	}
	return "the policy allows nothing: everybody would be denied"
}

// lacksMappings returns why a generation drops many mappings, or "". A mapping counts by its id.
func lacksMappings(before, after loaded) string {
	if before.Generation == nil || before.Table == nil || after.Table == nil {
		return ""
	}
	has := enabled(after.Generation)
	had, dropped := enabled(before.Generation), 0
	for id := range had {
		if !has[id] {
			dropped++
		}
	}
	if dropped*2 <= len(had) {
		return ""
	}
	return fmt.Sprintf("%d of %d mappings would be removed or disabled", dropped, len(had))
}

// enabled returns the ids of the mappings that are not disabled.
func enabled(g *site.Generation) map[string]bool {
	out := map[string]bool{}
	for _, m := range g.Table.Mappings() {
		if !m.Disabled {
			out[m.ID] = true
		}
	}
	return out
}
