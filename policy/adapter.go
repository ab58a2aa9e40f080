package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/casbin/casbin/v2/model"
	"github.com/casbin/casbin/v2/persist"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// FromAdapter builds an engine from the lines that a Casbin adapter loads, with the
// same checks as New. Decisions and errors call them "rule 3" and "membership 2", in
// the adapter's order. Some adapters skip the lines that Casbin rejects; FromAdapter
// cannot see those. It never saves anything.
func FromAdapter(a persist.Adapter, options ...Option) (*Engine, error) {
	c := newChecker(options)
	m, err := loadAdapter(a)
	if err != nil {
		c.add(Position{}, "the adapter cannot load: "+escape.Quote(err.Error(), escape.Short), "")
		return nil, c.err()
	}
	for _, section := range []string{typeRule, typeMember} {
		for _, key := range slices.Sorted(maps.Keys(m[section])) {
			if key != section && len(m[section][key].Policy) > 0 {
				c.add(Position{}, "there are lines of the unknown type "+escape.Quote(key, escape.Short), "the types are p and g")
			}
		}
	}
	var rules []Rule
	for i, f := range m[typeRule][typeRule].Policy {
		if len(f) != 5 {
			c.add(Position{}, fmt.Sprintf("rule %d: there are %d fields, a rule has 5", i+1, len(f)), "subject, port, method, path, effect")
			continue
		}
		r := Rule{Subject: f[0], Port: f[1], Method: f[2], Path: f[3], Effect: f[4]}
		c.checkRule(&r, i)
		rules = append(rules, r)
	}
	var members []Member
	for i, f := range m[typeMember][typeMember].Policy {
		if len(f) != 2 {
			c.add(Position{}, fmt.Sprintf("membership %d: there are %d fields, a membership has 2", i+1, len(f)), "member, group")
			continue
		}
		g := Member{Subject: f[0], Group: f[1]}
		c.checkMember(&g, i)
		members = append(members, g)
	}
	return build(c, rules, members)
}

// loadAdapter makes an adapter fill a model that also has room for lines of unknown
// types, so that FromAdapter sees them. A panic becomes an error: Casbin's own reader
// panics on an empty first field.
func loadAdapter(a persist.Adapter) (_ model.Model, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if a == nil {
		return nil, errors.New("the adapter is nil")
	}
	m, err := model.NewModelFromString(builtInModel)
	if err != nil {
		return nil, err
	}
	for i := 2; i < 10; i++ {
		m.AddDef(typeRule, fmt.Sprintf("p%d", i), strings.Repeat("a, ", 4)+"a")
		m.AddDef(typeMember, fmt.Sprintf("g%d", i), "_, _")
	}
	if err := a.LoadPolicy(m); err != nil {
		return nil, err
	}
	return m, nil
}
