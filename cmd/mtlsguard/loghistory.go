package main

import (
	"path/filepath"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/reason"
)

// logHistory holds what other lines of the log say about the line to explain.
type logHistory struct {
	earlier *logLine            // the newest line before it that allows another certificate of the same subject and issuer
	fetches map[string]*logLine // the newest failed fetch of each file
}

// readHistory reads the log again, if other lines may name the cause. Standard input is gone
// by then.
func (l *loggedRequest) readHistory(a *app) error {
	r := reason.Reason(l.Reason)
	if l.file == "-" || r != reason.Unmapped && r != reason.RevocationUnknown {
		return nil
	}
	l.history.fetches = map[string]*logLine{}
	_, err := readWholeLog(a, l.file, "", func(_ []byte, other *logLine) {
		switch {
		case r == reason.RevocationUnknown && other.File != "" && strings.Contains(other.Error, "cannot be fetched"):
			l.history.fetches[filepath.Base(other.File)] = other
		case r == reason.Unmapped && other.isRequest() && other.Outcome == "allow" && other.User != "" && other.Mapping != "" && other.Time.Before(l.Time) &&
			l.Subject != "" && other.Subject == l.Subject && other.Issuer == l.Issuer && other.Fingerprint != l.Fingerprint:
			l.history.earlier = other
		}
	})
	return err
}

// checkHistory forgets the earlier certificate if its mapping is not in effect any more:
// nobody is to be let back in because of an old line.
func (l *loggedRequest) checkHistory(g *site.Generation) {
	old := l.history.earlier
	if old == nil {
		return
	}
	for _, m := range g.Table.Mappings() {
		if m.ID == old.Mapping && m.User == old.User && !m.Disabled {
			return
		}
	}
	l.history.earlier = nil
}
