package mtlsguard

import (
	"time"

	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
)

// renewalTime is how long one of certificate and key may be newer than the other. Programs
// that renew certificates write the two files one after the other.
const renewalTime = 30 * time.Second

// reloadFailure is why the last reload failed.
type reloadFailure struct {
	err         error
	halfRenewed bool
	after       time.Time // from when on it counts as a failure; zero: at once
	logged      bool
}

// counts reports whether the failure counts by now.
func (f *reloadFailure) counts(now time.Time) bool { return f != nil && !now.Before(f.after) }

// setFailed records that a reload failed, and logs it. A certificate whose key has not been
// renewed yet counts as a failure later: see logOverdueRenewal.
func (s *Server) setFailed(read *fileset.Reader, err error) {
	now := s.options.now()
	f := &reloadFailure{err: err, halfRenewed: site.IsHalfRenewed(err)}
	s.mu.Lock()
	switch old := s.failed; {
	case !f.halfRenewed:
	case old != nil && old.halfRenewed:
		f.after = old.after // the time is not extended: every reload would hide the failure again
	default:
		f.after = now.Add(renewalTime)
	}
	f.logged = f.counts(now)
	s.tried, s.failed = read, f
	s.mu.Unlock()
	if f.logged {
		s.events.LogReloadFailure(s.path, err)
	} else {
		s.events.LogHalfRenewed(s.path, err)
	}
}

// logOverdueRenewal logs the failure of a reload that begins to count.
func (s *Server) logOverdueRenewal() {
	now := s.options.now()
	s.mu.Lock()
	f := s.failed
	due := f.counts(now) && !f.logged
	if due {
		f.logged = true
	}
	s.mu.Unlock()
	if due {
		s.events.LogReloadFailure(s.path, f.err)
	}
}
