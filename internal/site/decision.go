package site

import (
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/question"
)

// decision checks the headers in which a gateway asks. The port's receiver has been made, unless
// it has errors.
func (l *loader) decision(path string, d *config.Decision, out *Port) {
	at := map[string]config.Scalar{"method": d.Method, "target": d.Target, "host": d.Host}
	var headers []question.Header
	for _, h := range []question.Header{
		{Key: "method", Name: d.Method.Value, Example: "X-Original-Method"},
		{Key: "target", Name: d.Target.Value, Example: "X-Original-URI"},
		{Key: "host", Name: d.Host.Value, Example: "X-Forwarded-Host"},
	} {
		if h.Name != "" { // else it was reported before, or is not needed
			headers = append(headers, h)
		}
	}
	var deleted []string
	if out.Guard.Forwarded != nil {
		deleted = out.Guard.Forwarded.Headers()
	}
	question.Check(headers, deleted, func(h question.Header, what, hint string) {
		wrong := at[h.Key].In(path)
		wrong.What, wrong.Hint = h.Key+": "+what, hint
		l.wrong.Add(wrong)
	})
}
