package policy

import (
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/rulepath"
)

// hasOwnSegment reports whether the path of a checked rule contains {user}.
func hasOwnSegment(path string) bool { return strings.Contains(path, rulepath.Own) }

// similarToOwn returns the segment of a path that differs from {user} in case alone, or
// "".
func similarToOwn(path string) string {
	for segment := range strings.SplitSeq(path, "/") {
		if segment != rulepath.Own && strings.EqualFold(segment, rulepath.Own) {
			return segment
		}
	}
	return ""
}

// noteOnPath returns what {user} in the path of a rule means for a user, and that {User}
// means something else. It returns "" for other paths.
func noteOnPath(path, user string) string {
	switch similar := similarToOwn(path); {
	case hasOwnSegment(path) && rulepath.OwnName(user) == "":
		return "{user} is the caller's own user name, and never matches the anonymous user " + identity.Default
	case hasOwnSegment(path):
		return "{user} is the caller's own user name, here " + user
	case similar != "":
		return similar + " is any one segment; {user} would be the caller's own user name"
	}
	return ""
}

// checkOwnSegment reports what {user} means in a rule, and segments that resemble it.
func (l *linter) checkOwnSegment(i int, r Rule) {
	if similar := similarToOwn(r.Path); similar != "" {
		l.addRule(i, similar+" is any one segment, not the caller's own user name", "write {user} for the caller's own user name, or another name, such as {id}, for any one segment")
	}
	if !hasOwnSegment(r.Path) {
		return
	}
	const anySegment = "write another name, such as {id}, for any one segment"
	name, isForUser := strings.CutPrefix(r.Subject, userPrefix)
	switch {
	case l.isAnonymous(r.Subject):
		l.addRule(i, "this rule never matches: {user} is the caller's own user name, and "+r.Subject+" is the anonymous user alone", anySegment)
	case isForUser:
		l.addRule(i, "{user} is the caller's own user name: in a rule for "+r.Subject+" it is always "+name, "write "+strings.ReplaceAll(r.Path, rulepath.Own, name))
	case r.Effect == Deny:
		l.addRule(i, "{user} is the caller's own user name: this rule denies each caller only the path with their own name", anySegment)
	default:
		l.addRule(i, "{user} is the caller's own user name: this rule allows each caller only the path with their own name", "")
		l.found[len(l.found)-1].Note = true
	}
}

// isAnonymous reports whether the anonymous user is the only user with a subject.
func (l *linter) isAnonymous(subject string) bool {
	name, isGroup := strings.CutPrefix(subject, groupPrefix)
	if !isGroup {
		return subject == userPrefix+identity.Default
	}
	if _, has := slices.BinarySearch(l.anonymousGroups, name); !has {
		return false
	}
	group := l.groups.groups.find(name)
	if slices.Contains(l.closure(builtInGroups("")), group) {
		return false // every named user is in it
	}
	for user := range uint32(l.groups.users.len()) { // an id
		if slices.Contains(l.closure(l.groups.groupsOfUser(user)), group) {
			return false
		}
	}
	return true
}
