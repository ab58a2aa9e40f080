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

// FromAdapter builds an engine from what a Casbin adapter loads, as strictly as
// New: decisions and mistakes name "rule 3" and "membership 2", in the order in
// which the adapter gave them. What an adapter keeps to itself cannot be seen: some
// pass over lines that Casbin refuses. Nothing is ever saved.
func FromAdapter(a persist.Adapter, options ...Option) (*Engine, error) {
	c := newChecker(options)
	m, err := loadAdapter(a)
	if err != nil {
		c.add("", 0, "the adapter cannot load: "+escape.Quote(err.Error(), escape.Short), "")
		return nil, c.err()
	}
	var rules []Rule
	var members []Member
	for _, section := range []string{"p", "g"} {
		for _, key := range slices.Sorted(maps.Keys(m[section])) {
			if key != section && len(m[section][key].Policy) > 0 {
				c.add("", 0, "there are lines of the unknown type "+escape.Quote(key, escape.Short), "types are p and g")
			}
		}
	}
	for i, f := range m["p"]["p"].Policy {
		if len(f) != 5 {
			c.add("", 0, fmt.Sprintf("rule %d: there are %d fields, a rule has 5", i+1, len(f)), "subject, port, method, path, effect")
			continue
		}
		r := Rule{Subject: f[0], Port: f[1], Method: f[2], Path: f[3], Effect: Effect(f[4])}
		c.rule(&r, i)
		rules = append(rules, r)
	}
	for i, f := range m["g"]["g"].Policy {
		if len(f) != 2 {
			c.add("", 0, fmt.Sprintf("membership %d: there are %d fields, a membership has 2", i+1, len(f)), "member, group")
			continue
		}
		g := Member{Subject: f[0], Group: f[1]}
		c.member(&g, i)
		members = append(members, g)
	}
	return build(c, rules, members)
}

// loadAdapter lets an adapter fill a model that has room for lines of wrong types,
// so that they are seen. A panic is an error: Casbin's own reader has one for an
// empty first field.
func loadAdapter(a persist.Adapter) (_ model.Model, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if a == nil {
		return nil, errors.New("there is none")
	}
	m, err := model.NewModelFromString(builtIn)
	if err != nil {
		return nil, err
	}
	for i := 2; i < 10; i++ {
		m.AddDef("p", fmt.Sprintf("p%d", i), strings.Repeat("a, ", 4)+"a")
		m.AddDef("g", fmt.Sprintf("g%d", i), "_, _")
	}
	if err := a.LoadPolicy(m); err != nil {
		return nil, err
	}
	return m, nil
}
