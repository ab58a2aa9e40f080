package certmap

import (
	"context"
	"errors"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// ErrDisabled is wrapped by a refusal as Unmapped of a certificate that a mapping names and
// shuts out. No other user may be given to such a certificate, the one for unmapped
// certificates neither. A mapper that bans certificates refuses with it too.
var ErrDisabled = errors.New("certmap: the mapping is disabled")

// Map finds the one user of a verified leaf on a port.
//
// The first kind at which any mapping matches decides, in force or not: whoever
// disables a mapping means the certificate, and must not find it mapped by
// another. Among those in force there must be one user: two are Ambiguous. Without
// any in force the certificate is nobody's: MappingExpired if one is out of its
// time, else Unmapped.
//
// A refusal of a certificate whose mappings are disabled wraps ErrDisabled.
//
// Only memory is looked at, so ctx is not.
func (t *Table) Map(_ context.Context, v trust.Verified, port string) (Match, error) {
	if t == nil || v.IsZero() {
		return Match{}, reason.Refuse(reason.Unmapped, "nothing is mapped") // nobody believed, or no table: nobody
	}
	if v.Usage() != trust.UsageClient {
		return Match{}, reason.Refuse(reason.WrongUsage, "the certificate was not judged as a client's") // a server's is no user's
	}
	f := tally{table: t, v: v, port: port, now: t.now()}
	for k := byFingerprint; k <= bySubjectPattern && !f.matched; k++ {
		f.look(k)
	}
	return f.answer()
}

// tally counts what matches on one level. Positions are counted from 1, so that 0
// is none.
type tally struct {
	table *Table
	v     trust.Verified
	port  string
	now   time.Time

	// hit, for explanations, is told of every mapping whose value is the
	// certificate's, whatever its port and issuer; nil while deciding.
	hit func(position uint32, user string)

	matched bool   // any, in force or not
	first   uint32 // the first in force
	rival   uint32 // the first in force for another user
	late    uint32 // the first out of its time
	off     uint32 // the first disabled
	user    string
	until   time.Time
}

// same adds every mapping with this key. What a pattern captured is in user.
func (f *tally) same(k kind, key, user []byte) {
	hash := hashKey(k, key)
	for p := f.table.first(hash); p != 0; {
		e := f.table.entries.at(p - 1)
		if e.is(k, hash, key) {
			f.add(p, e, user)
		}
		p = e.nextKey
	}
}

func (f *tally) add(p uint32, e *entry, captured []byte) {
	if f.hit != nil {
		f.hit(p-1, userOf(e, captured))
		return
	}
	if !e.with.onPort(f.port) || !e.issued(f.v) {
		return // not there at all
	}
	f.matched = true
	if e.disabled {
		f.off = earlier(f.off, p)
		return
	}
	if b := e.with.boundary(f.now); !b.IsZero() && (f.until.IsZero() || b.Before(f.until)) {
		f.until = b
	}
	if !e.with.inForce(f.now) {
		f.late = earlier(f.late, p)
		return
	}
	switch {
	case f.first == 0:
		f.first, f.user = p, userOf(e, captured)
	case f.user == e.user() || e.user() == UserVariable && f.user == string(captured):
		f.first = earlier(f.first, p)
	default:
		f.rival = earlier(f.rival, p)
	}
}

// earlier is the earlier position.
func earlier(a, b uint32) uint32 {
	if a == 0 || b < a {
		return b
	}
	return a
}

func userOf(e *entry, captured []byte) string {
	if user := e.user(); user != UserVariable {
		return user
	}
	return string(captured)
}

func (f *tally) answer() (Match, error) {
	id := func(p uint32) string { return escape.Quote(f.table.entries.at(p-1).id(), escape.Short) }
	switch {
	case f.rival != 0:
		return Match{}, reason.Refuse(reason.Ambiguous, "mappings "+id(f.first)+" and "+id(f.rival)+" give it two users")
	case f.first != 0:
		return Match{User: f.user, MappingID: f.table.entries.at(f.first - 1).id(), Until: f.until, Source: f.table, Generation: f.table.generation}, nil
	case f.late != 0:
		return Match{}, reason.Refuse(reason.MappingExpired, "mapping "+id(f.late)+" is out of its time")
	case f.off != 0:
		return Match{}, &reason.Refusal{Reason: reason.Unmapped, Detail: "mapping " + id(f.off) + " is disabled", Err: ErrDisabled}
	}
	return Match{}, reason.Refuse(reason.Unmapped, "no mapping matches")
}
