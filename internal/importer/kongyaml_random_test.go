package importer_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/importer/kongyaml"
	"github.com/mtlsguard/mtlsguard/policy"
)

// kongRoute is a route of the model, with an access of its own.
type kongRoute struct {
	methods, paths, hosts []string
	header                bool
	access                string // open, closed, all, or allow or deny and groups
}

var (
	kongModelUsers    = map[string][]string{"alice": {"staff"}, "bob": {"admins"}, "carol": {"staff", "admins"}, "dave": nil}
	kongModelPaths    = []string{"/", "/a", "/a/", "/a/b", "/a/b/", "/ab", `~/a/\d`, `~/a(/b)?$`}
	kongModelPatterns = map[string]*regexp.Regexp{`/a/\d`: regexp.MustCompile(`^/a/\d`), `/a(/b)?$`: regexp.MustCompile(`^/a(/b)?$`)}
	kongModelAccess   = []string{"open", "closed", "all", "allow staff", "allow admins", "allow staff, admins", "deny staff"}
)

func randomKongRoute(r *rand.Rand) (out kongRoute) {
	out.methods = [][]string{nil, nil, {"GET"}, {"POST"}, {"GET", "HEAD"}}[r.IntN(5)]
	out.hosts = [][]string{nil, nil, nil, {"h.example"}, {"i.example"}}[r.IntN(5)]
	out.header = r.IntN(8) == 0
	for range r.IntN(3) {
		out.paths = append(out.paths, kongModelPaths[r.IntN(len(kongModelPaths))])
	}
	out.access = kongModelAccess[r.IntN(len(kongModelAccess))]
	return out
}

func (k *kongRoute) yaml(n int) string {
	quoted := func(all []string) string { return "['" + strings.Join(all, "', '") + "']" }
	text := fmt.Sprintf("- {name: r%d", n)
	for key, all := range map[string][]string{"methods": k.methods, "paths": k.paths, "hosts": k.hosts} {
		if all != nil {
			text += ", " + key + ": " + quoted(all)
		}
	}
	if k.header {
		text += ", headers: {x: [y]}"
	}
	plugins := []string{kongAuth}
	switch kind, groups, _ := strings.Cut(k.access, " "); kind {
	case "open":
		plugins = nil
	case "closed":
		plugins = append(plugins, "{name: request-termination}")
	case "allow", "deny":
		plugins = append(plugins, "{name: acl, config: {"+kind+": ["+groups+"]}}")
	}
	return text + ", plugins: [" + strings.Join(plugins, ", ") + "]}\n"
}

func (k *kongRoute) lets(user string) bool {
	kind, groups, _ := strings.Cut(k.access, " ")
	in := slices.ContainsFunc(kongModelUsers[user], func(g string) bool { return slices.Contains(strings.Split(groups, ", "), g) })
	return kind == "open" || kind == "all" || kind == "allow" && in || kind == "deny" && !in
}

// rank is the place of a route among those that match a request: nothing for one that does not.
// Versions order paths by their own length, or by that of the longest path of their route.
func (k *kongRoute) rank(host, method, path string, header, byLongest bool) []int {
	if k.methods != nil && !slices.Contains(k.methods, method) || k.hosts != nil && !slices.Contains(k.hosts, host) || k.header && !header {
		return nil
	}
	kinds, isPattern, length, matches := 0, 0, 0, k.paths == nil
	for _, has := range []bool{k.methods != nil, k.hosts != nil, k.header, k.paths != nil} {
		if has {
			kinds++
		}
	}
	longest := 0
	for _, p := range k.paths {
		longest = max(longest, len(p))
		if pattern, ok := strings.CutPrefix(p, "~"); ok && kongModelPatterns[pattern].MatchString(path) {
			matches, isPattern = true, 1
		} else if !ok && strings.HasPrefix(path, p) {
			matches, length = true, max(length, len(p))
		}
	}
	if !matches {
		return nil
	}
	if byLongest {
		length = longest
	}
	return []int{kinds, len(k.hosts), isPattern, length}
}

// kongAllows reports whether Kong surely lets a user in: by every route that may be the first.
func kongAllows(routes []kongRoute, user, host, method, path string, header bool) bool {
	for _, byLongest := range []bool{false, true} {
		var best []int
		for _, k := range routes {
			if rank := k.rank(host, method, path, header, byLongest); rank != nil && slices.Compare(rank, best) > 0 {
				best = rank
			}
		}
		if best == nil {
			return false
		}
		for _, k := range routes {
			if rank := k.rank(host, method, path, header, byLongest); rank != nil && slices.Equal(rank, best) && !k.lets(user) {
				return false
			}
		}
	}
	return true
}

// The rules of random routes let no user in that Kong does not. Covers T2.
func TestRandomRoutesAreNeverWider(t *testing.T) {
	t.Parallel()
	const seed = 20260729
	r := rand.New(rand.NewPCG(seed, seed))
	dir := importertest.Folder(t, nil)
	allowed, denials, imported := 0, 0, 0
	for round := range 400 {
		var routes []kongRoute
		text := "services: [{name: s}]\nconsumers:\n"
		for _, user := range []string{"alice", "bob", "carol", "dave"} {
			text += "- {username: " + user + ", acls: ["
			for _, g := range kongModelUsers[user] {
				text += "{group: " + g + "}, "
			}
			text += "]}\n"
		}
		text += "routes:\n"
		for n := range 1 + r.IntN(4) {
			routes = append(routes, randomKongRoute(r))
			text += routes[n].yaml(n)
		}
		o := kongyaml.Options{WholeSegments: r.IntN(2) == 0, SameCase: r.IntN(2) == 0}
		if r.IntN(2) == 0 {
			o.Host = "h.example"
		}
		engine := kongPolicy(t, dir, kongConfiguration(t, text), o, r.IntN(2) == 0)
		if engine == nil {
			continue
		}
		imported++
		for _, path := range []string{"/", "/a", "/a/", "/a/1", "/a/x", "/ab", "/abx", "/a/b", "/a/bx", "/a/b/", "/a/b/c", "/x"} {
			if o.WholeSegments && kongContinues(routes, path) {
				continue
			}
			for _, method := range []string{"GET", "HEAD", "POST", "PUT"} {
				for user := range kongModelUsers {
					d, err := engine.Decide(t.Context(), policy.Request{User: user, Port: "p", Method: method, Path: path})
					if err != nil || !d.Allowed {
						denials++
						continue
					}
					allowed++
					for _, host := range []string{"h.example", "i.example", "j.example"} {
						for _, header := range []bool{false, true} {
							if o.Host != "" && o.Host != host || kongAllows(routes, user, host, method, path, header) || method == "HEAD" && kongAllows(routes, user, host, "GET", path, header) && !kongMatchesAny(routes, host, method, path, header) {
								continue
							}
							t.Fatalf("round %d: %s %s of %s on %s (header %v) is allowed here, and not by Kong\n%s%+v", round, method, path, user, host, header, text, o)
						}
					}
				}
			}
		}
	}
	t.Logf("%d configurations, %d requests allowed, %d refused", imported, allowed, denials)
	if imported < 200 || allowed < 5000 || denials < 5000 {
		t.Errorf("%d configurations, %d requests allowed, %d refused", imported, allowed, denials)
	}
}

// matchesAny reports whether a route takes a request. A request of HEAD that none takes is
// answered as GET here.
func kongMatchesAny(routes []kongRoute, host, method, path string, header bool) bool {
	return slices.ContainsFunc(routes, func(k kongRoute) bool { return k.rank(host, method, path, header, false) != nil })
}

// continues reports whether a path continues the path of a route within a segment.
func kongContinues(routes []kongRoute, path string) bool {
	for _, k := range routes {
		for _, p := range k.paths {
			if rest, ok := strings.CutPrefix(path, p); ok && rest != "" && rest[0] != '/' && !strings.HasSuffix(p, "/") {
				return true
			}
		}
	}
	return false
}

// importPolicy returns the rules of a configuration, or nil if the import ends.
func kongPolicy(t *testing.T, dir, text string, o kongyaml.Options, narrow bool) *policy.Engine {
	t.Helper()
	name := filepath.Join(dir, "k.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := importer.New(importer.Options{Format: "kong", Narrow: narrow})
	if err != nil {
		t.Fatal(err)
	}
	if err := kongyaml.Read(in, []string{name}, o); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	out, err := in.Finish()
	if errors.Is(err, importer.ErrDefect) {
		t.Fatalf("%v\n%s", err, text)
	}
	if err != nil {
		return nil
	}
	for _, f := range out.Files {
		if f.Name == "policy.csv" {
			engine, err := policy.Load(f.Name, strings.NewReader(string(f.Data)))
			if err != nil {
				t.Fatal(err)
			}
			return engine
		}
	}
	return nil
}

func FuzzKongYAML(f *testing.F) {
	f.Add(kongConfiguration(f, kongStaff+kongRouted(kongAllow("staff"), "{name: r, paths: [/, /r], hosts: [a.example]}, {name: adm, paths: [/adm/], plugins: [{name: acl, config: {deny: [staff]}}]}")))
	f.Add("_format_version: '2.1'\nconsumers: [{username: alice, mtls_auth_credentials: [{subject_name: alice@acme.example, ca_certificate: x}], groups: [{name: g}]}]\nx: &x [*x]\n")
	f.Add(`{"_format_version": "3.0", "routes": [{"paths": ["~/a|b", "/a"], "methods": ["GET"]}], "plugins": [{"name": "mtls-auth", "config": {}}]}`)
	importertest.Fuzz(f, "k.yaml", func(in *importer.Import, name string) error {
		return kongyaml.Read(in, []string{name}, kongyaml.Options{SameCase: in.Narrow()})
	})
}
