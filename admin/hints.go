package admin

import (
	"fmt"

	"github.com/mtlsguard/mtlsguard/internal/mapresult"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/reason"
)

// apiHint is a change that would alter a refusal. It is not a recommendation to let a caller in.
type apiHint struct {
	Text  string `json:"text"`
	Write string `json:"write,omitempty"` // a line for the file
	At    string `json:"at,omitempty"`    // FILE:LINE
	Link  string `json:"link,omitempty"`  // a page of the documentation
}

const reasonsPage = "https://github.com/mtlsguard/mtlsguard/blob/main/docs/reasons.md#"

// hints returns the changes that would alter a refusal. The command has more hints: it reads the
// files.
func hints(x *apiExplained) []apiHint {
	out := []apiHint{}
	if x.Reason == "" {
		return out
	}
	switch x.Reason {
	case reason.NoRule:
		if line, ok := report.RuleLine(x.User, x.Port, x.Method, x.Path); ok && x.User != "" {
			out = append(out, apiHint{Text: "a line for the policy that allows exactly this request", Write: line})
		}
	case reason.Denied:
		out = append(out, apiHint{Text: "this line denies the request, and deny beats allow: no other line can allow it", At: x.Decided, Write: x.Line})
	case reason.Unmapped, reason.MappingExpired, reason.Ambiguous:
		out = append(out, mappingHints(x)...)
	}
	return append(out, apiHint{Text: "what the reason " + string(x.Reason) + " means", Link: reasonsPage + string(x.Reason)})
}

// mappingHints returns the mappings that nearly match. If there is none that refuses the
// certificate on purpose, it also returns the lines that map it.
func mappingHints(x *apiExplained) []apiHint {
	var out []apiHint
	for _, s := range x.Mappings {
		switch s.Result {
		case mapresult.Disabled:
			return []apiHint{{Text: "mapping " + s.ID + " disables the certificate", At: s.At}}
		case mapresult.OutOfTime:
			return []apiHint{{Text: fmt.Sprintf("mapping %s %s", s.ID, s.Why), At: s.At}}
		case mapresult.NearMiss, mapresult.OtherPort, mapresult.OtherIssuer:
			out = append(out, apiHint{Text: fmt.Sprintf("mapping %s is a near miss: %s", s.ID, s.Why), At: s.At})
		case mapresult.Matches:
			out = append(out, apiHint{Text: fmt.Sprintf("mapping %s names user %s", s.ID, s.User), At: s.At})
		}
	}
	if x.Reason != reason.Unmapped || x.Inspection == nil {
		return out
	}
	for _, m := range x.Inspection.Mappings {
		if m.Line != "" {
			out = append(out, apiHint{Text: "a line for the users that maps the certificate by its " + m.Kind, Write: m.Line})
		}
	}
	return out
}

// isDisabled reports whether a mapping refuses the certificate on purpose.
func (x *apiExplained) isDisabled() bool {
	for _, s := range x.Mappings {
		if s.Result == mapresult.Disabled {
			return true
		}
	}
	return false
}
