package webmethods_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/webmethods"
	"github.com/mtlsguard/mtlsguard/policy"
)

// source is an instance made at random, with its model.
type source struct {
	model
	files map[string]string
}

var (
	randomFolders = []string{"a", "a.b", "a.b.c", "d"}
	randomUsers   = []string{"u0", "u1", "u2", "u3", "u4", "Default"}
	randomGroups  = []string{"g0", "g1", "g2", "g3"}
	randomPorts   = []string{"p0", "p1"}
)

// randomServices returns every service of the packages.
func randomServices() (out []string) {
	for _, f := range randomFolders {
		out = append(out, f+":x", f+":y")
	}
	return out
}

// pick returns each text with a probability of one in n.
func pick(r *rand.Rand, n int, from ...string) (out []string) {
	for _, s := range from {
		if r.IntN(n) == 0 {
			out = append(out, s)
		}
	}
	return out
}

func newSource(seed uint64) *source {
	r := rand.New(rand.NewPCG(seed, 19))
	s := &source{model: model{groups: map[string][]string{}, acls: map[string][2][]string{}, acl: map[string]string{}, listed: map[string][]string{}, open: map[string]bool{}}, files: map[string]string{}}
	s.makeUsers(r)
	s.acls = map[string][2][]string{"Default": {{"Everybody"}, {"Anonymous"}}, "Anonymous": {{"Everybody"}, nil}}
	candidates := append([]string{"Everybody", "Anonymous"}, randomGroups...)
	for i := range 3 {
		s.acls[fmt.Sprint("A", i)] = [2][]string{pick(r, 3, candidates...), pick(r, 6, candidates...)}
	}
	names := append(slices.Sorted(maps.Keys(s.acls)), "Deleted")
	for _, n := range pick(r, 3, append(randomServices(), randomFolders...)...) {
		s.acl[n] = names[r.IntN(len(names))]
	}
	for _, p := range randomPorts {
		s.open[p] = r.IntN(2) == 0
		s.listed[p] = pick(r, 4, append(randomServices(), randomFolders...)...)
	}
	s.writeFiles()
	return s
}

// makeUsers makes users and nested groups. A group is only in groups of a higher number.
func (s *source) makeUsers(r *rand.Rand) {
	parents := map[string][]string{}
	for i, g := range randomGroups {
		parents[g] = pick(r, 4, randomGroups[i+1:]...)
	}
	members := map[string][]string{}
	var all strings.Builder
	all.WriteString(`<Values version="2.0"><record name="users">`)
	for _, u := range randomUsers {
		direct := pick(r, 3, randomGroups...)
		for _, g := range direct {
			members[g] = append(members[g], u)
		}
		fmt.Fprintf(&all, `<record name="%[1]s"><value name="name">%[1]s</value><value name="enabled">true</value>%[2]s</record>`, u, record("members", "", direct))
		in := map[string]bool{"Everybody": true}
		if u == "Default" {
			in["Anonymous"] = true
		}
		for len(direct) > 0 {
			in[direct[0]] = true
			direct = append(direct[1:], parents[direct[0]]...)
		}
		s.groups[u] = slices.Sorted(maps.Keys(in))
	}
	all.WriteString(`</record><record name="groups">`)
	for child, ps := range parents {
		for _, p := range ps {
			members[p] = append(members[p], child)
		}
	}
	for _, g := range randomGroups {
		fmt.Fprintf(&all, `<record name="%s">%s</record>`, g, record("members", "", members[g]))
	}
	s.files[users] = all.String() + `</record></Values>`
}

// record returns a record with names.
func record(name, prefix string, names []string) string {
	out := `<record name="` + name + `">`
	for _, n := range names {
		out += fmt.Sprintf(`<value name="%[1]s%[2]s">%[1]s%[2]s</value>`, prefix, n)
	}
	return out + "</record>"
}

func (s *source) writeFiles() {
	text := `<Values version="2.0"><record name="groups">`
	for n, a := range s.acls {
		text += fmt.Sprintf(`<record name="%[1]s"><value name="name">%[1]s</value>`, n) + record("allow", "local/", a[0]) + record("deny", "local/", a[1]) + "</record>"
	}
	s.files[acls] = text + "</record></Values>"
	text = `<Values version="2.0">`
	for n, a := range s.acl {
		text += fmt.Sprintf(`<value name="%s">%s</value>`, n, a)
	}
	s.files[aclmap] = text + "</Values>"
	ports, access := "", ""
	for i, p := range randomPorts {
		ports += fmt.Sprintf(`<record name="%[1]s"><number name="port">%[2]d</number><value name="protocol">HTTPS</value><value name="enabled">true</value><value name="portAlias">%[1]s</value><value name="clientAuth">require</value></record>`, p, 8443+i)
		mode := map[bool]string{true: "include", false: "exclude"}[s.open[p]]
		access += fmt.Sprintf(`<record name="%s"><value name="default">%s</value><record name="nodes"><list name="elements">`, p, mode)
		for _, n := range s.listed[p] {
			access += "<value>" + n + "</value>"
		}
		access += "</list></record></record>"
	}
	s.files[main] = `<Values version="2.0"><record name="listeners">` + ports + `</record><record name="access">` + access + "</record></Values>"
	for _, v := range randomServices() {
		s.files["ns/"+strings.NewReplacer(".", "/", ":", "/").Replace(v)+"/node.ndf"] = `<Values><value name="svc_type">java</value></Values>`
	}
}

// reachable reports whether a port reaches a service. A listed folder opens the services in it, and
// closes those in its sub-folders too.
func (s *source) reachable(service, port string) bool {
	folder, _, _ := strings.Cut(service, ":")
	if !s.open[port] {
		return slices.Contains(s.listed[port], service) || slices.Contains(s.listed[port], folder)
	}
	return !slices.ContainsFunc(s.listed[port], func(n string) bool {
		return n == service || n == folder || strings.HasPrefix(folder, n+".")
	})
}

// may is the decision of Integration Server. No ACL of the name Deleted exists: it lets no user in.
func (s *source) may(user, service, port string) bool {
	all := s.model
	all.open, all.listed = map[string]bool{port: s.reachable(service, port)}, nil
	return all.open[port] && all.allows(user, service, port)
}

// The result of instances made at random decides as their model, for every user, service, path and
// port. Without the names of the services it may only be narrower.
func TestRandomInstances(t *testing.T) {
	t.Parallel()
	allowed := 0
	for seed := range uint64(40) {
		s := newSource(seed)
		for _, known := range []bool{true, false} {
			o := webmethods.Options{}
			if known {
				o.Namespaces = []string{"ns"}
			}
			result := run(t, importer.Options{}, o, s.files, "instance")
			_, text, _ := strings.Cut(result, "== policy.csv\n")
			text, _, _ = strings.Cut(text, "\n== ")
			engine, err := policy.Load("policy.csv", strings.NewReader(text))
			if err != nil || !strings.Contains(result, "== policy.csv") && !strings.Contains(result, "== ports.yaml") {
				t.Fatalf("%d: %v\n%s", seed, err, result)
			}
			for _, v := range append(randomServices(), "a.b:other", "d:other") {
				exists := !strings.HasSuffix(v, ":other")
				for _, path := range []string{"/invoke/" + strings.Replace(v, ":", "/", 1), "/invoke/" + v} {
					for _, u := range randomUsers {
						for _, p := range randomPorts {
							want := s.may(u, v, p) && (exists || !known)
							d, err := engine.Decide(context.Background(), policy.Request{User: u, Port: p, Method: "POST", Path: path})
							if d.Allowed {
								allowed++
							}
							if err != nil || d.Allowed && !want || known && d.Allowed != want {
								t.Fatalf("seed %d, services known %v: %s %s on %s: %v, want %v, %v\n%s", seed, known, u, path, p, d.Allowed, want, err, result)
							}
						}
					}
				}
			}
		}
	}
	if allowed < 1000 {
		t.Errorf("only %d requests are allowed", allowed)
	}
}
