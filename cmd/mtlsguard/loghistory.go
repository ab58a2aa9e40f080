package main

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/reason"
)

// logHistory holds the context of the line to explain, from other lines of the log.
type logHistory struct {
	earlier *logLine            // the newest line before it that allows another certificate of the same subject and issuer
	mapping *certmap.Mapping    // the mapping of earlier, in effect now
	fetches map[string]*logLine // the newest failed fetch of each file, by its name without folder
}

// readHistory reads the log again, if other lines may name the cause. Standard input cannot
// be read again.
func (l *loggedRequest) readHistory(a *app) error {
	if l.file == "-" {
		return nil
	}
	var err error
	switch reason.Reason(l.Reason) {
	case reason.RevocationUnknown:
		l.history.fetches = map[string]*logLine{}
		const failed = "cannot be fetched"
		_, err = readWholeLog(a, l.file, failed, func(_ []byte, other *logLine) {
			if other.Event == "reload" && strings.Contains(other.Error, failed) {
				l.history.fetches[filepath.Base(other.File)] = other
			}
		})
	case reason.Unmapped:
		_, err = readWholeLog(a, l.file, "allow", func(_ []byte, other *logLine) {
			if other.isRequest() && other.Outcome == "allow" && other.Mapping != "" && other.Time.Before(l.Time) &&
				l.Subject != "" && other.Subject == l.Subject && other.Issuer == l.Issuer && other.Fingerprint != l.Fingerprint {
				l.history.earlier = other
			}
		})
	}
	return err
}

// findMapping finds the mapping of the earlier certificate. A mapping that is disabled, ended
// or removed is not used again because of an old line.
func (h *logHistory) findMapping(all []certmap.Mapping, now time.Time) {
	if h.earlier == nil {
		return
	}
	for _, m := range all {
		valid := (m.NotBefore.IsZero() || !now.Before(m.NotBefore)) && (m.NotAfter.IsZero() || !now.After(m.NotAfter))
		if m.ID == h.earlier.Mapping && m.User == h.earlier.User && !m.Disabled && valid {
			h.mapping = &m
		}
	}
}
