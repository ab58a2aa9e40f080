package report

import (
	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/mapresult"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Stage returns the step that decided the request.
func Stage(x *mtlsguard.Explanation) string {
	switch {
	case x.Refused:
		return "handshake"
	case x.Unread:
		return "http"
	}
	return StageOf(x.Reason)
}

// StageOf returns the step of the guard that refuses requests for a reason, or the last one,
// policy, for an allowed request.
func StageOf(r reason.Reason) string {
	switch r {
	case reason.AmbiguousPath, reason.Misdirected, reason.NoPort:
		return "request"
	case reason.UntrustedGateway, reason.BadHeader:
		return "gateway"
	case reason.Unmapped, reason.Ambiguous, reason.MappingExpired:
		return "mapping"
	case reason.Quota:
		return "quota"
	case reason.NoRule, reason.Denied, reason.PolicyError, "":
		return "policy"
	}
	return "certificate"
}

// DecidingLine returns the position ("file:line") and the text of the line that decided,
// or nothing.
func DecidingLine(x *mtlsguard.Explanation) (position, text string) {
	switch {
	case x.Rule != (policy.Position{}):
		if x.Policy != nil {
			for _, l := range x.Policy.Lines {
				if l.Position == x.Rule {
					return x.Rule.String(), l.Text
				}
			}
		}
		return x.Rule.String(), ""
	case x.Reason == reason.Ambiguous, x.Reason == reason.MappingExpired, x.Reason == reason.Unmapped:
		for _, s := range x.Mapping {
			if s.Result == mapresult.Matches || s.Result == mapresult.Disabled || s.Result == mapresult.OutOfTime {
				return Position(s), "mapping " + s.MappingID
			}
		}
	}
	return "", ""
}
