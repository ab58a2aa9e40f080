package admin

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// checkQuery refuses the query of a change if it has another name than these, or another value than
// 1 for a switch. Otherwise dry_run=true, a misspelt name, or a part that net/url leaves out
// would make the change that its caller only wanted to see.
func (c *call) checkQuery(names ...string) error {
	q, err := url.ParseQuery(c.URL.RawQuery)
	if err != nil {
		return &failure{Status: http.StatusBadRequest, Detail: "the query cannot be read", Hint: "escape its values, and put & between them"}
	}
	for name, values := range q {
		switch {
		case !slices.Contains(names, name):
			return invalid(fmt.Sprintf("%s is not a parameter of this change", escape.Quote(name, escape.Short)), "one of "+strings.Join(names, ", "))
		case len(values) > 1:
			return invalid(name+" is there more than once", "give it once")
		case name != "note" && values[0] != "1":
			return invalid(fmt.Sprintf("%s: %s is not 1", name, escape.Quote(values[0], escape.Short)), name+"=1, or leave it out")
		}
	}
	return nil
}

// maxNote bounds the note of an edit, in bytes.
const maxNote = 200

// note returns the note of an edit: in the query, or in a form. One with an error is not logged.
func (c *call) note() (string, error) {
	note := cmp.Or(c.URL.Query().Get("note"), c.PostForm.Get("note"))
	if len(note) > maxNote {
		return "", invalid(fmt.Sprintf("note: it has more than %d bytes", maxNote), "the number of a ticket, for example")
	}
	if holdsKey(note) { // that of an Ed25519 key is short enough, and the note is logged
		return "", errHasKey
	}
	return note, nil
}
