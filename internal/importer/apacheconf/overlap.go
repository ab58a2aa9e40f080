package apacheconf

import (
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

const conditionHint = "write its rules into a Location, or remove it"

// reject returns why the rules of a Location are not carried.
func (s *server) reject(loc *location, first location) (why, hint string) {
	e := s.effective(loc)
	switch {
	case s.blocked:
		return "a condition that is not read may limit it", ""
	case loc.unclear != "":
		return "the effect of " + escape.Quote(loc.unclear, escape.Short) + " on it is not read", conditionHint
	case e.condition != "":
		return escape.Quote(e.condition, escape.Short) + " limits it, and is not carried", conditionHint
	case e.fake != 1 || e.basic != 1 || e.userFile == "":
		return "its users are not those of FakeBasicAuth with AuthType Basic and an AuthUserFile", ""
	case e.userFile != first.userFile || e.groupFile != first.groupFile && slices.ContainsFunc(loc.subjects, func(sub subject) bool { return sub.kind == "group" }):
		return "it has another AuthUserFile or AuthGroupFile than the Locations before", "import it alone, into another folder"
	}
	if o := s.overridden(loc); o != nil {
		return "<" + cut(o) + "> comes later, and decides in its place", ""
	}
	after := false
	for _, o := range s.locations {
		if o == loc {
			after = true
			continue
		}
		touches := o.requires || o.unclear != "" || o.condition != "" || o.userFile != "" || o.groupFile != "" || o.fake != 0 || o.basic != 0
		switch {
		case denies(o) && covers(o.path, loc.path) && s.covered(o) && s.overridden(o) == nil:
			return "<" + cut(o) + "> refuses everybody, and here a denial wins", "write the Location for each path below it that is refused"
		case !covers(loc.path, o.path) || o.path == loc.path || !touches:
		case !o.requires && o.unclear == "" && o.condition == "" && !after && !s.changes(o, e): // its own values are those of loc
		case after && o.requires && o.unclear == "" && o.condition == "" && (denies(o) || includes(o, loc)) && !s.changes(o, e):
		case !after && o.requires && o.unclear == "" && o.condition == "" && !s.changes(o, e): // loc decides in its place
		default:
			return "<" + cut(o) + "> is inside of it and has a rule of its own, and rules here add up", "write a Location for each path below it, or the rules into policy.csv"
		}
	}
	return "", ""
}

// overridden returns a later Location that decides for all of a Location, or nil.
func (s *server) overridden(loc *location) *location {
	for _, o := range s.locations[slices.Index(s.locations, loc)+1:] {
		if covers(o.path, loc.path) && (o.requires || o.unclear != "") {
			return o
		}
	}
	return nil
}

// changes reports whether a Location sets other files or another way to log in.
func (s *server) changes(o *location, e location) bool {
	return o.userFile != "" && o.userFile != e.userFile || o.groupFile != "" && o.groupFile != e.groupFile || o.fake == -1 || o.basic == -1
}

// cut returns the section for a message.
func cut(o *location) string { return escape.Printable("Location "+o.path, escape.Short) }

// denies reports whether a Location lets no user in.
func denies(o *location) bool {
	return o.allDenied && len(o.subjects) == 0 && !o.allGranted && !o.other
}

// includes reports whether a Location lets everybody in that another does.
func includes(o, loc *location) bool {
	return o.allGranted || slices.Contains(o.subjects, subject{kind: "valid-user"}) ||
		!loc.allGranted && !loc.other && !slices.ContainsFunc(loc.subjects, func(sub subject) bool { return !slices.Contains(o.subjects, sub) })
}

// covered reports whether a Location is inside of another one that requires a user.
func (s *server) covered(loc *location) bool {
	return slices.ContainsFunc(s.locations, func(o *location) bool { return o != loc && o.requires && covers(o.path, loc.path) && !denies(o) })
}

// covers reports whether a Location of a path holds for another path: /a for /a, /a/ and /a/b, and /a/
// for the last two.
func covers(location, path string) bool {
	return path == location || strings.HasPrefix(path, strings.TrimSuffix(location, "/")+"/")
}
