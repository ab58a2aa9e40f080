package mtlsguard

import (
	"time"

	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
)

// renewalTime is how long one of certificate and key may be newer than the other. Programs
// that renew certificates write the two files one after the other.
const renewalTime = 30 * time.Second

// repeatFailure is the time after which a failure is logged again.
const repeatFailure = 10 * time.Minute

// reloadFailure is why the last reload failed.
type reloadFailure struct {
	err         error
	halfRenewed bool
	after       time.Time // from when on it counts as a failure; zero: at once
	logged      time.Time // when it was logged last; zero: never
}

// counts reports whether the failure counts by now.
func (f *reloadFailure) counts(now time.Time) bool { return f != nil && !now.Before(f.after) }

// setFailed records that a reload failed, and logs it. A certificate whose key has not been
// renewed yet counts as a failure later: see logFailure.
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
	counts := f.counts(now)
	if counts {
		f.logged = now
	}
	s.tried, s.failed = read, f
	s.mu.Unlock()
	if counts {
		s.events.LogReloadFailure(s.path, err)
	} else {
		s.events.LogHalfRenewed(s.path, err)
	}
}

// logFailure logs the failure of a reload when it begins to count, and again each
// repeatFailure until a reload succeeds.
func (s *Server) logFailure() {
	now := s.options.now()
	s.mu.Lock()
	f := s.failed
	due := f.counts(now) && (f.logged.IsZero() || now.Sub(f.logged) >= repeatFailure)
	if due {
		f.logged = now
	}
	s.mu.Unlock()
	if due {
		s.events.LogReloadFailure(s.path, f.err)
	}
}
