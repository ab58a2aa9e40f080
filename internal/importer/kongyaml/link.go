package kongyaml

import (
	"fmt"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// index finds entities of one kind by id and by name.
type index[T any] struct {
	*config
	kind string
	by   map[string]T
}

// add adds an entity. Two of one name are an error: what names one of them would count for both.
func (x *index[T]) add(at importer.Place, one T, id, name string) {
	if id == name {
		name = ""
	}
	for _, key := range []string{id, name} {
		if key == "" {
			continue
		}
		if _, twice := x.by[key]; twice {
			x.Wrong.Add(configerror.Error{File: at.File, Line: at.Line, What: fmt.Sprintf("two elements of %ss are %s", x.kind, escape.Quote(key, escape.Short)), Hint: "remove one"})
		}
		x.by[key] = one
	}
}

// find returns what a reference names. A reference to nothing is an error: Kong does not load it,
// and in a part of a configuration it would limit something that is not there.
func (x *index[T]) find(at importer.Place, reference string) (one T) {
	one, ok := x.by[reference]
	if !ok {
		x.Wrong.Add(configerror.Error{File: at.File, Line: at.Line, What: fmt.Sprintf("no %s is %s", x.kind, escape.Quote(reference, escape.Short)), Hint: "import all files of the configuration with one command"})
	}
	return one
}

// link finds what references name.
func (c *config) link() {
	services := index[*service]{c, "service", map[string]*service{}}
	for _, s := range c.services {
		services.add(s.at, s, s.id, s.name)
	}
	routes := index[*route]{c, "route", map[string]*route{}}
	for _, r := range c.routes {
		routes.add(r.at, r, r.id, r.name)
		if r.serviceN != "" {
			r.service = services.find(r.at, r.serviceN)
		}
	}
	consumers := index[*consumer]{c, "consumer", map[string]*consumer{}}
	for _, one := range c.consumers {
		consumers.add(one.at, one, one.id, one.username)
	}
	for _, one := range c.credentials {
		if to := consumers.find(one.at, one.consumer); to != nil {
			to.credentials = append(to.credentials, one)
		}
	}
	for _, one := range c.members {
		if to := consumers.find(one.at, one.consumer); to != nil {
			to.members = append(to.members, one)
		}
	}
	for _, g := range c.groups {
		for _, name := range g.members {
			if to := consumers.find(g.at, name); to != nil {
				to.groups = append(to.groups, g.id, g.name)
			}
		}
	}
	for _, p := range c.plugins {
		if p.serviceN != "" {
			p.service = services.find(p.at, p.serviceN)
		}
		if p.routeN != "" {
			p.route = routes.find(p.at, p.routeN)
		}
		if p.consumerN != "" {
			p.consumer = consumers.find(p.at, p.consumerN)
		}
	}
	c.attachPlugins()
}
