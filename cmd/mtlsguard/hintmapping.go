package main

import (
	"fmt"

	"github.com/mtlsguard/mtlsguard/internal/mapresult"
)

// usersCommand returns a command that changes the file of users.
func (h *hinter) usersCommand(verb, args string) string {
	return "mtlsguard users " + verb + " --config " + shellQuote(h.config.path) + " " + args
}

// addUnmapped adds the near misses, and the command that adds a mapping. No hint goes
// around a disabled mapping.
func (h *hinter) addUnmapped() {
	for _, s := range h.explanation.Mapping {
		if s.Result == mapresult.Disabled {
			h.add(hint{Text: fmt.Sprintf("%s disables %s; to let them back", stepPosition(s), s.MappingID), File: s.File, Line: s.Line,
				Command: h.usersCommand("enable", "--id "+shellQuote(s.MappingID))})
			return
		}
	}
	for _, s := range h.explanation.Mapping {
		switch s.Result {
		case mapresult.NearMiss, mapresult.OtherPort, mapresult.OtherIssuer:
			h.add(hint{Text: fmt.Sprintf("mapping %s is a near miss: %s", s.MappingID, s.Why), File: s.File, Line: s.Line})
		}
	}
	if h.log != nil && h.log.Nearest != "" && h.file == "" {
		h.add(hint{Text: "the nearest mapping when the line was written: " + h.log.Nearest})
	}
	if h.log != nil && h.log.history.mapping != nil && h.file == "" {
		h.addRenewed(h.log.history.earlier, h.log.history.mapping)
		return
	}
	if h.log != nil && h.log.Fingerprint != "" && h.file == "" {
		h.add(hint{Text: "map the certificate to a user; NAME is the user's name. With the certificate's file, --cert FILE --by spki survives renewals that keep the key", File: h.config.users,
			Command: h.usersCommand("add", "--fingerprint "+shellQuote(h.log.Fingerprint)+" --user NAME")})
	}
	if h.file != "" {
		h.add(hint{Text: "map the certificate to a user; NAME is the user's name. With --by spki the mapping survives renewals that keep the key", File: h.config.users,
			Command: h.usersCommand("add", "--cert "+shellQuote(h.file)+" --user NAME")})
	}
}

// addAmbiguous names the mappings that match.
func (h *hinter) addAmbiguous() {
	for _, s := range h.explanation.Mapping {
		if s.Result == mapresult.Matches {
			h.add(hint{Text: fmt.Sprintf("two mappings of the same kind name two users: if the certificate is not user %s, remove %s", s.User, s.MappingID), File: s.File, Line: s.Line,
				Command: h.usersCommand("remove", shellQuote(s.MappingID))})
		}
	}
}

// addMappingExpired names the mappings that are outside their dates.
func (h *hinter) addMappingExpired() {
	for _, s := range h.explanation.Mapping {
		if s.Result == mapresult.OutOfTime {
			h.add(hint{Text: fmt.Sprintf("mapping %s %s: change its not_before or not_after, or add another mapping", s.MappingID, s.Why), File: s.File, Line: s.Line})
		}
	}
}
