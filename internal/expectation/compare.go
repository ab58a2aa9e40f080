package expectation

import (
	"context"
	"fmt"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Difference is a decision that is not the expected one.
type Difference struct {
	Line     int    `json:"line"` // of the row
	User     string `json:"user"`
	Port     string `json:"port"`
	Method   string `json:"method"`
	Path     string `json:"path"`
	Want     string `json:"want"`
	Got      string `json:"got"` // allow, denied or no-rule
	Rule     string `json:"rule,omitempty"`
	Text     string `json:"text,omitempty"` // text of the rule
	Sentence string `json:"sentence"`
}

// String returns two lines: what differs, and the rule that decided. They are printable.
func (d Difference) String() string {
	out := fmt.Sprintf("%d: %s %s %s %s: wanted %s, got %s", d.Line, escape.Printable(d.User, 0), escape.Printable(d.Port, 0), escape.Printable(d.Method, 0), escape.Printable(d.Path, 0), d.Want, d.Got)
	if d.Rule == "" {
		return out + "\n    " + escape.Printable(d.Sentence, 0)
	}
	return out + " by " + d.Rule + "\n    " + escape.Printable(d.Text, 0)
}

// Compare asks the policy about each row. The port * stands for each of the ports, or for itself
// if there are none. It returns the number of decisions, and those that differ.
func Compare(ctx context.Context, engine *policy.Engine, rows []Row, ports []string) (decisions int, different []Difference) {
	for _, row := range rows {
		on := []string{row.Port}
		if row.Port == "*" && len(ports) > 0 {
			on = ports
		}
		for _, port := range on {
			decisions++
			request := policy.Request{User: row.User, Port: port, Method: row.Method, Path: row.Path}
			d, err := engine.Decide(ctx, request)
			if err != nil {
				d.Reason = reason.PolicyError
			}
			if !row.Matches(d.Allowed && err == nil, string(d.Reason)) {
				different = append(different, newDifference(row, request, d, engine.Explain(request)))
			}
		}
	}
	return decisions, different
}

func newDifference(row Row, r policy.Request, d policy.Decision, x policy.Explanation) Difference {
	out := Difference{Line: row.Line, User: r.User, Port: r.Port, Method: r.Method, Path: r.Path, Want: row.Want, Got: "allow", Rule: d.Rule.String(), Sentence: x.Sentence}
	if !d.Allowed {
		out.Got = string(d.Reason)
	}
	for _, l := range x.Lines {
		if l.Position == d.Rule {
			out.Text = l.Text
		}
	}
	return out
}
