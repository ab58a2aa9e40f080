package admin

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/useredit"
)

// mappingsView is the screen with the list of mappings.
type mappingsView struct {
	Filter   mappingFilter
	States   []string
	MayAdd   bool
	Mappings []apiMapping
	Next     string // the query of the next page
}

func (c *call) mappingsScreen() (any, error) {
	f, err := c.mappingFilter()
	if err != nil {
		return nil, err
	}
	v := &mappingsView{Filter: f, States: mappingStates, MayAdd: c.mayEdit(newMappingPath)}
	more := false
	if v.Mappings, more = c.mappings(&f); more {
		q := url.Values{"after": {strconv.FormatUint(v.Mappings[len(v.Mappings)-1].Number, 10)}}
		for key, value := range map[string]string{"user": f.User, "state": f.State, "port": f.port} {
			if value != "" {
				q.Set(key, value)
			}
		}
		if f.Days > 0 {
			q.Set("days", strconv.FormatUint(f.Days, 10))
		}
		v.Next = "?" + q.Encode()
	}
	return v, nil
}

// mappingView is the screen of one mapping, and of the others of its user.
type mappingView struct {
	apiMapping
	Groups    []string
	Others    []apiMapping
	Rotations []rotation
	Kinds     []string
	ETag      string // of the users; "" where the caller may not edit them
	LastDay   string // the form's
}

func (c *call) mappingScreen() (any, error) {
	m, err := c.mapping()
	if err != nil {
		return nil, err
	}
	v := &mappingView{apiMapping: m.(apiMapping), Kinds: useredit.Kinds}
	if c.mayPost(mappingPath(v.ID) + "/edit") {
		v.ETag = c.usersETag()
	}
	v.LastDay = lastDayOf(v.NotAfter)
	if v.IsPattern() {
		return v, nil // it has many users
	}
	if x, err := c.server.ExplainUser(v.User, c.id.Port, "GET", "/"); err == nil {
		v.Groups = x.Groups
	}
	all, _ := c.mappings(&mappingFilter{User: v.User, limit: defaultLimit})
	v.Others = slices.DeleteFunc(all, func(o apiMapping) bool { return o.ID == v.ID })
	v.Rotations = c.rotations(&v.apiMapping, v.Others)
	return v, nil
}

// IsPattern reports whether the mapping gives many users.
func (m *apiMapping) IsPattern() bool { return strings.Contains(m.User, "{") }

// mayEdit reports whether the caller may change mappings by a POST to a path of the page.
func (c *call) mayEdit(path string) bool { return c.mayPost(path) && c.usersETag() != "" }
