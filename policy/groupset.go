package policy

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/workers"
)

// groupSet is the groups of a user, nested ones included. Users with the same direct
// groups share one.
type groupSet struct {
	all      span // of setGroups: group ids, in the order of the names
	subjects span // of setSubjects: the groups that rules name, as subjects, ascending
}

// The sets that every policy has.
const (
	setNamed     = iota // of a named user whom no line puts into a group
	setAnonymous        // of Default, whom no line puts into a group
)

// maxKept bounds the ids in the sets that are kept, for a policy with a number of
// memberships. A user of 1,000 groups has 4 KB of ids, so that 100,000 such users would have
// 400 MB. Beyond the bound a user has noSet, and each look-up follows the memberships.
func maxKept(memberships int) int { return 64<<10 + 16*memberships }

// noSet is the set of a user whose groups are not kept.
const noSet = noID

// addSets gives each user their set of groups.
func (b *compiler) addSets(members []Member) {
	g, m := b.groups, &marks{}
	for _, user := range []string{"", identity.Default} { // setNamed, setAnonymous
		all := g.closure(m.cleared(g.groups.len()), builtInGroups(user))
		if len(all) > maxGroups {
			// Fail closed: the set is cut, and a group that a rule denies may be missing.
			b.check.rejectMember(members, groupPrefix+identity.Everybody, "group:Everybody is, with the built-in group beside it, in more than 1,024 groups", "put it into fewer groups, or name it in rules")
			return
		}
		b.addSet(all)
	}
	most := maxKept(len(members))
	ofGroup := make([]uint32, g.groups.len()) // by group: the set of the users in it alone; 0: none yet
	ofGroups := map[string]uint32{}           // the same for several groups
	var key []byte
	for id := range b.users {
		workers.YieldAt(id)
		direct := g.groupsOfUser(uint32(id)) // an id
		if len(direct) == 0 || b.users[id].set == setAnonymous {
			continue
		}
		known := uint32(0)
		if len(direct) == 1 {
			known = ofGroup[direct[0]]
		} else {
			key = key[:0]
			for _, id := range slices.Sorted(slices.Values(direct)) {
				key = binary.LittleEndian.AppendUint32(key, id)
			}
			known = ofGroups[string(key)]
		}
		if known == 0 {
			all := g.closure(m.cleared(g.groups.len()), builtInGroups(""), direct)
			if len(all) > maxGroups {
				name := g.users.at(uint32(id)) // an id
				b.check.rejectMember(members, userPrefix+name, "user:"+name+" is in more than 1,024 groups", "put the user into fewer groups, or name the user in rules")
				all = nil
			}
			known = noSet
			if len(b.setGroups)+len(all) <= most {
				known = b.addSet(all)
			}
			if len(direct) == 1 {
				ofGroup[direct[0]] = known
			} else {
				ofGroups[string(key)] = known
			}
		}
		b.users[id].set = known
	}
}

// addSet stores a set of groups, and returns its number.
func (b *compiler) addSet(all []uint32) uint32 {
	g := b.groups
	g.sortByName(all)
	s := groupSet{all: span{uint32(len(b.setGroups)), uint32(len(b.setGroups) + len(all))}} // maxKept
	b.setGroups = append(b.setGroups, all...)
	from := len(b.setSubjects)
	b.setSubjects = g.appendSubjects(b.setSubjects, all)
	s.subjects = span{uint32(from), uint32(len(b.setSubjects))} // as above
	b.sets = append(b.sets, s)
	return uint32(len(b.sets) - 1) // no more than ids
}

// sortByName sorts group ids by the names of the groups.
func (g *groupGraph) sortByName(ids []uint32) {
	slices.SortFunc(ids, func(a, b uint32) int { return bytes.Compare(g.groups.bytes(a), g.groups.bytes(b)) })
}

// appendSubjects appends the subjects of the groups that rules name, in ascending order.
func (g *groupGraph) appendSubjects(to, groups []uint32) []uint32 {
	from := len(to)
	for _, id := range groups {
		if g.inRules[id] {
			to = append(to, groupSubject(id))
		}
	}
	slices.Sort(to[from:])
	return to
}

// followed returns the groups of a user whose set is not kept. It allocates by the number of
// these groups.
func (g *groupGraph) followed(user uint32) []uint32 {
	return g.closure(idSet{}, builtInGroups(""), g.groupsOfUser(user)) // no line puts Default into a group
}

// Groups returns the groups of a user, sorted, nested ones included, without the
// prefix "group:". A named user whom no line names is in Everybody and Authenticated,
// and in the groups that these are in; Default is in Everybody and Anonymous. The
// slice belongs to the caller. It is nil for a text that cannot be a user's name. Time and
// memory grow with the number of these groups, and not with the policy.
func (e *Engine) Groups(user string) []string {
	if !e.isBuilt() || !isUser(user) {
		return nil
	}
	u, id := e.user(user)
	var ids []uint32
	if u.set != noSet {
		all := e.sets[u.set].all
		ids = e.setGroups[all.from:all.to]
	} else {
		ids = e.groups.followed(id)
		e.groups.sortByName(ids)
	}
	return e.groups.groups.all(ids)
}

// user returns what the policy knows about a user, and the user's id or noID.
func (e *Engine) user(name string) (userSubjects, uint32) {
	id := e.groups.users.find(name)
	switch {
	case id != noID:
		return e.users[id], id
	case name == identity.Default:
		return userSubjects{own: noID, set: setAnonymous}, id
	default:
		return userSubjects{own: noID, set: setNamed}, id
	}
}

// subjects returns the subjects of a user's groups.
func (e *Engine) subjects(u userSubjects, id uint32) []uint32 {
	if u.set == noSet {
		return e.groups.appendSubjects(nil, e.groups.followed(id))
	}
	s := e.sets[u.set].subjects
	return e.setSubjects[s.from:s.to]
}
