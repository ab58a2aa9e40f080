package certmap

import (
	"context"
	"errors"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// ErrDisabled is wrapped by the refusal (Unmapped) of a certificate whose mapping is
// disabled. The user for unmapped certificates must not be given to such a certificate:
// otherwise disabling it would have no effect. A Mapper that bans certificates refuses with
// ErrDisabled too.
var ErrDisabled = errors.New("certmap: the mapping is disabled")

// DisabledError wraps ErrDisabled with the id of the mapping.
type DisabledError struct{ MappingID string }

func (e *DisabledError) Error() string { return ErrDisabled.Error() + ": " + e.MappingID }

// Unwrap returns ErrDisabled.
func (*DisabledError) Unwrap() error { return ErrDisabled }

// Map finds the one user of a verified certificate on a port.
//
// The first kind at which any mapping matches decides, even if that mapping is not valid:
// an operator who disables a mapping means the certificate, which must not get a user by
// another kind. The valid mappings of that kind must give one user: two are Ambiguous.
// Without a valid one the refusal is MappingExpired if one is outside its dates, else
// Unmapped, which wraps ErrDisabled if one is disabled.
//
// A Table reads only memory, so it ignores ctx.
func (t *Table) Map(_ context.Context, v trust.Verified, port string) (Match, error) {
	if t == nil || v.IsZero() { // fail closed: no table, or no verified certificate
		return Match{}, reason.Refuse(reason.Unmapped, "no certificate is mapped")
	}
	if v.Usage() != trust.UsageClient { // a server's certificate is not a user's
		return Match{}, reason.Refuse(reason.WrongUsage, "the certificate was not verified as a client's")
	}
	s := search{table: t, v: v, port: port, now: t.now()}
	for k := byFingerprint; k <= bySubjectPattern && !s.matched; k++ {
		s.lookUpKind(k)
	}
	return s.result()
}

// search finds the mappings of one certificate. Of the mappings that match it keeps the
// first in the order of the table.
type search struct {
	table *Table
	v     trust.Verified
	port  string
	now   time.Time

	// visit is for explanations: if it is set, it gets every mapping whose value is the
	// certificate's, whatever its port and issuer, and nothing else is kept.
	visit func(ref ref, user string)

	matched   bool // any mapping matches, valid or not
	valid     ref  // the first valid one
	rival     ref  // the first valid one for another user
	outOfTime ref  // the first outside its dates
	disabled  ref  // the first disabled one
	user      string
	until     time.Time
}

// lookUpKey adds every mapping of a kind with this key. captured is the text that a pattern
// captured.
func (s *search) lookUpKey(k kind, key, captured []byte) {
	for found := s.table.byKey.Search(hashKey(k, key)); found.Next(); {
		if e := s.table.at(found.Ref); e.kind == k && e.key() == string(key) {
			s.add(found.Ref, &e, captured)
		}
	}
}

func (s *search) add(r ref, e *entry, captured []byte) {
	if s.visit != nil {
		s.visit(r, e.userFor(captured))
		return
	}
	if !e.terms.includePort(s.port) || !e.isIssuedUnder(s.v) {
		return
	}
	s.matched = true
	if e.disabled {
		s.disabled = s.firstOf(s.disabled, r)
		return
	}
	if change := e.terms.nextChange(s.now); !change.IsZero() && (s.until.IsZero() || change.Before(s.until)) {
		s.until = change
	}
	if !e.terms.validAt(s.now) {
		s.outOfTime = s.firstOf(s.outOfTime, r)
		return
	}
	switch {
	case s.valid == 0:
		s.valid, s.user = r, e.userFor(captured)
	case s.user == e.userFor(captured):
		s.valid = s.firstOf(s.valid, r)
	default:
		s.rival = s.firstOf(s.rival, r)
	}
}

// firstOf returns the entry that comes first in the order of the table. a may be 0.
func (s *search) firstOf(a, b ref) ref {
	if a == 0 || s.table.compareRefs(b, a) < 0 {
		return b
	}
	return a
}

func (s *search) result() (Match, error) {
	id := func(r ref) string {
		e := s.table.at(r)
		return escape.Quote(e.id(), escape.Short)
	}
	switch {
	case s.rival != 0:
		return Match{}, reason.Refuse(reason.Ambiguous, "mappings "+id(s.valid)+" and "+id(s.rival)+" give it two users")
	case s.valid != 0:
		e := s.table.at(s.valid)
		return Match{User: s.user, MappingID: e.id(), Until: s.until, Source: s.table, Generation: s.table.generation}, nil
	case s.outOfTime != 0:
		return Match{}, reason.Refuse(reason.MappingExpired, "mapping "+id(s.outOfTime)+" is outside its dates")
	case s.disabled != 0:
		e := s.table.at(s.disabled)
		return Match{}, &reason.Refusal{Reason: reason.Unmapped, Detail: "mapping " + id(s.disabled) + " is disabled", Err: &DisabledError{e.id()}}
	}
	return Match{}, reason.Refuse(reason.Unmapped, "no mapping matches")
}
