package policy

import (
	"errors"
	"slices"
	"strconv"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// maxErrors bounds the report about a file that is not a policy at all.
const maxErrors = 100

// checker collects the errors in rules and memberships.
type checker struct {
	vocabulary *vocabulary
	list       errorlist.List
	dropped    int    // errors beyond maxErrors
	file       string // the file that is being read
	unended    int    // the number of the file's last line, if no line end follows it
}

func newChecker(options []Option) *checker {
	c := &checker{vocabulary: &vocabulary{}}
	for _, o := range options {
		if o != nil {
			o(c.vocabulary)
		}
	}
	if wrong, hint := c.vocabulary.compileMethods(); wrong != "" {
		c.add(Position{}, wrong, hint)
	}
	return c
}

// add adds an error at the position's file and line.
func (c *checker) add(at Position, wrong, hint string) {
	if c.isFull() {
		c.dropped++
		return
	}
	c.list.Add(configerror.Error{File: at.File, Line: at.Line, What: wrong, Hint: hint})
}

// addAll adds what was found in a piece of the same file.
func (c *checker) addAll(p *checker) {
	for _, err := range p.list.All() {
		if c.isFull() {
			c.dropped++
		} else {
			c.list.Add(*err)
		}
	}
	c.dropped += p.dropped
	c.unended = max(c.unended, p.unended)
}

func (c *checker) isFull() bool { return c.list.Len() >= maxErrors }

// count returns the number of errors so far.
func (c *checker) count() int { return c.list.Len() + c.dropped }

// reject returns a function that adds an error about the rule or membership at a
// position, if there is one.
func (c *checker) reject(at Position, kind string) func(wrong, hint string) {
	return func(wrong, hint string) {
		if wrong != "" {
			c.add(at, at.prefix(kind)+wrong, hint)
		}
	}
}

// rejectMember adds an error about a member of groups, at the first line that puts it
// into one.
func (c *checker) rejectMember(members []Member, member, wrong, hint string) {
	if c.isFull() {
		c.dropped++ // without the search for its line
		return
	}
	i := slices.IndexFunc(members, func(m Member) bool { return m.Subject == member })
	if i < 0 {
		c.add(Position{}, wrong, hint)
		return
	}
	c.reject(Position{File: members[i].File, Line: members[i].Line, Number: i + 1}, "membership")(wrong, hint)
}

// err joins the errors, in the order of their lines. It is nil without any.
func (c *checker) err() error {
	err := c.list.Err()
	if c.dropped > 0 {
		return errors.Join(err, &configerror.Error{What: "further errors that are not shown: " + strconv.Itoa(c.dropped)})
	}
	return err
}

// prefix begins a message about a rule or membership that has no line to show beside
// the message.
func (p Position) prefix(kind string) string {
	if p.Line > 0 {
		return ""
	}
	return kind + " " + strconv.Itoa(p.Number) + ": "
}
