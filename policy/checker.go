package policy

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// maxMistakes bounds the report about a file that is not a policy at all.
const maxMistakes = 100

// checker collects mistakes in rules and memberships.
type checker struct {
	words   *vocabulary
	list    errorlist.List
	dropped int    // mistakes beyond maxMistakes
	file    string // that is being read
	unended int    // the last line of the file, if no line end follows it
}

func newChecker(options []Option) *checker {
	c := &checker{words: &vocabulary{}}
	for _, o := range options {
		if o != nil {
			o(c.words)
		}
	}
	if what, hint := c.words.settle(); what != "" {
		c.add("", 0, what, hint)
	}
	return c
}

func (c *checker) add(file string, line int, what, hint string) {
	if c.list.Len() >= maxMistakes {
		c.dropped++
		return
	}
	c.list.Add(configerror.Error{File: file, Line: line, What: what, Hint: hint})
}

// err joins the mistakes, in the order of their lines, or returns nil.
func (c *checker) err() error {
	err := c.list.Err()
	if c.dropped > 0 {
		return errors.Join(err, &configerror.Error{What: "mistakes that are not shown: " + strconv.Itoa(c.dropped)})
	}
	return err
}

// rule checks one rule, the i-th from 0, and reports whether it is free of mistakes.
func (c *checker) rule(r *Rule, i int) bool {
	ok := true
	bad := func(what, hint string) {
		if what != "" {
			ok = false
			c.add(r.File, r.Line, name(r.File, r.Line, "rule", i)+what, hint)
		}
	}
	bad(checkSubject(r.Subject))
	bad(c.words.checkPort(r.Port))
	_, what, hint := c.words.mask(r.Method)
	bad(what, hint)
	bad(checkPath(r.Path))
	bad(checkEffect(r.Effect))
	return ok
}

// member checks one membership, the i-th from 0.
func (c *checker) member(m *Member, i int) bool {
	ok := true
	bad := func(what, hint string) {
		if what != "" {
			ok = false
			c.add(m.File, m.Line, name(m.File, m.Line, "membership", i)+what, hint)
		}
	}
	bad(checkSubject(m.Subject))
	if m.Subject == userPrefix+Default {
		bad("user:Default cannot be put into a group", "its groups are Everybody and Anonymous; these may stand in other groups: g, group:Anonymous, "+m.Group)
	}
	group, isGroup := strings.CutPrefix(m.Group, groupPrefix)
	switch what, hint := checkSubject(m.Group); {
	case what != "":
		bad(what, hint)
	case !isGroup:
		bad(escape.Quote(m.Group, escape.Short)+" is not a group", "a membership is: g, member, group:NAME")
	case isBuiltIn(group):
		bad("members of group:"+group+" cannot be given", "who is in it is settled by how they are known")
	}
	return ok
}

// about adds a mistake that concerns a member of groups, at the first line that
// puts it into one.
func (c *checker) about(members []Member, member, what, hint string) {
	if c.list.Len() >= maxMistakes {
		c.dropped++ // without looking for its line
		return
	}
	i := slices.IndexFunc(members, func(m Member) bool { return m.Subject == member })
	if i < 0 {
		c.add("", 0, what, hint)
		return
	}
	c.add(members[i].File, members[i].Line, name(members[i].File, members[i].Line, "membership", i)+what, hint)
}

func checkEffect(e Effect) (what, hint string) {
	switch {
	case e == Allow || e == Deny:
		return "", ""
	case e == "":
		return "the effect is empty", "write allow or deny"
	case strings.Contains(string(e), "#"):
		return "the effect " + escape.Quote(string(e), escape.Short) + " is neither allow nor deny", "a comment stands on a line of its own"
	}
	return "the effect " + escape.Quote(string(e), escape.Short) + " is neither allow nor deny", "write allow or deny, in lower case"
}

// name begins a mistake about something that stands in no file.
func name(file string, line int, kind string, i int) string {
	if line > 0 {
		return ""
	}
	return kind + " " + strconv.Itoa(i+1) + ": "
}

// position names the i-th rule or membership, from 0: by its line if it has one.
func position(file string, line int, kind string, i int) string {
	switch {
	case line > 0 && file != "":
		return file + ":" + strconv.Itoa(line)
	case line > 0:
		return "line " + strconv.Itoa(line)
	case file != "":
		return file + " " + kind + " " + strconv.Itoa(i+1)
	}
	return kind + " " + strconv.Itoa(i+1)
}
