package importer_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/importer/kongyaml"
)

// Each row has routes of which one takes requests of another. staff has alice, admins has bob, and
// carol is in both. Covers T2.
func TestRoutesThatOverlap(t *testing.T) {
	t.Parallel()
	const consumers = "consumers: [{username: alice, acls: [{group: staff}]}, {username: bob, acls: [{group: admins}]}CAROL]\n"
	const limit = "leaving this line out would let a caller in"
	acl := func(groups string) string { return "plugins: [{name: acl, config: {allow: [" + groups + "]}}]" }
	root := "{name: root, paths: [/], " + acl("staff") + "}, "
	for name, row := range map[string]struct {
		routes string
		flags  kongyaml.Options
		narrow bool
		carol  bool
		want   []string
		not    []string
	}{
		"a deeper route":                 {routes: root + "{name: adm, paths: [/adm/], " + acl("admins") + "}", want: []string{"p, group:staff, *, *, /adm/*, deny\n", "p, group:staff, *, *, /*, allow", "p, group:admins, *, *, /adm/*, allow", "bob  *  GET  /adm/x  allow", "alice  *  GET  /adm/x  deny"}},
		"for those of both groups":       {routes: root + "{name: adm, paths: [/adm/], " + acl("admins") + "}", carol: true, want: []string{"p, group:staff, *, *, /adm/*, deny", "user carol is refused here, such as for GET /adm/x"}},
		"the same groups":                {routes: root + "{name: adm, paths: [/adm], " + acl("staff, admins") + "}", want: []string{"/adm/*, allow"}, not: []string{", deny\n"}},
		"within a segment":               {routes: root + "{name: adm, paths: [/adm], " + acl("admins") + "}", want: []string{limit, "--whole-segments"}},
		"within a segment, narrow":       {routes: root + "{name: adm, paths: [/adm], " + acl("admins") + "}", narrow: true, want: []string{"/adm/*, allow"}, not: []string{"/*, allow\np, group:staff", "group:staff, *, *, /*, allow"}},
		"by whole segments":              {routes: root + "{name: adm, paths: [/adm], " + acl("admins") + "}", flags: kongyaml.Options{WholeSegments: true}, want: []string{"p, group:staff, *, *, /adm, deny\np, group:staff, *, *, /adm/*, deny"}},
		"a longer name":                  {routes: "{name: adm, paths: [/adm], " + acl("admins") + "}, {name: x, paths: [/admins], " + acl("staff") + "}", want: []string{"group:admins, *, *, /adm/*, allow", "group:staff, *, *, /admins/*, allow"}, not: []string{", deny\n"}},
		"everybody above":                {routes: "{name: root, paths: [/]}, {name: adm, paths: [/adm/], " + acl("admins") + "}", want: []string{limit, "it lets every consumer in, and route adm, which decides about a part"}},
		"everybody above, narrow":        {routes: "{name: root, paths: [/]}, {name: adm, paths: [/adm/], " + acl("admins") + "}", narrow: true, want: []string{"/adm/*, allow"}, not: []string{"group:Authenticated"}},
		"everybody above a closed one":   {routes: "{name: root, paths: [/]}, {name: adm, paths: [/adm/], plugins: [{name: request-termination}]}", want: []string{"p, group:Authenticated, *, *, /adm/*, deny", "p, group:Authenticated, *, *, /*, allow"}},
		"everybody below":                {routes: root + "{name: pub, paths: [/pub/]}", want: []string{"p, group:Authenticated, *, *, /pub/*, allow"}, not: []string{", deny\n"}},
		"a denial above":                 {routes: "{name: root, paths: [/], plugins: [{name: acl, config: {deny: [staff]}}]}, {name: pub, paths: [/pub/]}", want: []string{"p, group:staff, *, *, /*, deny", "user alice is refused here, such as for GET /pub/x"}},
		"a denial below":                 {routes: "{name: root, paths: [/]}, {name: sub, paths: [/sub/], plugins: [{name: acl, config: {deny: [staff]}}]}", want: []string{"p, group:staff, *, *, /sub/*, deny"}},
		"a denial below, in a segment":   {routes: "{name: root, paths: [/]}, {name: sub, paths: [/sub], plugins: [{name: acl, config: {deny: [staff]}}]}", want: []string{limit}},
		"more conditions win":            {routes: "{name: root, paths: [/], methods: [GET, HEAD], " + acl("staff") + "}, {name: adm, paths: [/adm/], " + acl("admins") + "}", want: []string{"group:staff, *, GET, /*, allow", "group:admins, *, POST|PUT|PATCH|DELETE|OPTIONS, /adm/*, allow"}, not: []string{", deny\n"}},
		"HEAD of another route":          {routes: "{name: root, paths: [/], methods: [GET], " + acl("staff") + "}, {name: adm, paths: [/], " + acl("admins") + "}", want: []string{"group:staff, *, HEAD, /*, deny", "group:staff, *, GET, /*, allow", "alice  *  HEAD  /x  deny"}},
		"other methods":                  {routes: "{name: a, paths: [/a/], methods: [GET, HEAD], " + acl("staff") + "}, {name: b, paths: [/a/], methods: [POST], " + acl("admins") + "}", want: []string{"group:staff, *, GET, /a/*, allow", "group:admins, *, POST, /a/*, allow"}, not: []string{", deny\n"}},
		"one path twice":                 {routes: "{name: a, paths: [/a/], " + acl("staff") + "}, {name: b, paths: [/a/], " + acl("admins") + "}", want: []string{limit}},
		"one path twice, one access":     {routes: "{name: a, paths: [/a/], " + acl("staff") + "}, {name: b, paths: [/a/], " + acl("staff") + "}", want: []string{"group:staff, *, *, /a/*, allow"}},
		"on other hosts":                 {routes: root + "{name: h, paths: [/], hosts: [h.example], " + acl("admins") + "}", want: []string{limit}},
		"on this host":                   {routes: root + "{name: h, paths: [/h/], hosts: [h.example], " + acl("admins") + "}", flags: kongyaml.Options{Host: "h.example"}, want: []string{"p, group:staff, *, *, /h/*, deny", "p, group:admins, *, *, /h/*, allow"}},
		"not on this host":               {routes: root + "{name: h, paths: [/h/], hosts: [h.example], " + acl("admins") + "}", flags: kongyaml.Options{Host: "i.example"}, want: []string{"p, group:staff, *, *, /*, allow"}, not: []string{", deny\n", "/h/*"}},
		"with a header":                  {routes: root + "{name: h, paths: [/h/], headers: {x: [y]}, " + acl("admins") + "}", want: []string{"its headers decide too", "p, group:staff, *, *, /h/*, deny"}},
		"an expression":                  {routes: root + "{name: h, expression: 'http.path ^= \"/h\"', " + acl("admins") + "}", want: []string{limit}},
		"a pattern":                      {routes: root + `{name: p, paths: ['~/p/\d+'], ` + acl("admins") + "}", want: []string{"p, group:staff, *, *, /p/*, deny"}},
		"a pattern that ends openly":     {routes: root + `{name: p, paths: ['~/p(/.*)?'], ` + acl("admins") + "}", want: []string{limit}},
		"a pattern of two":               {routes: root + `{name: p, paths: ['~/p/|/q/'], ` + acl("admins") + "}", want: []string{limit}},
		"a pattern that may be shorter":  {routes: root + `{name: p, paths: ['~/p/?x'], ` + acl("admins") + "}", want: []string{limit}},
		"a pattern of the same":          {routes: root + `{name: p, paths: ['~/p(/.*)?'], ` + acl("staff") + "}", want: []string{"group:staff, *, *, /*, allow"}, not: []string{", deny\n"}},
		"an open route":                  {routes: root + "{name: o, paths: [/o/], plugins: [{name: acl, enabled: false}]}", want: []string{"group:staff, *, *, /*, allow"}},
		"an escape":                      {routes: root + "{name: e, paths: ['/e/%41/'], " + acl("admins") + "}", want: []string{"p, group:staff, *, *, /e/*, deny"}},
		"http alone, below":              {routes: root + "{name: h, paths: [/h/], protocols: [http], " + acl("staff") + "}", want: []string{"p, group:staff, *, *, /h/*, deny"}},
		"a long path beside a short one": {routes: "{name: a, paths: [/, /a/very/long/], " + acl("admins") + "}, {name: b, paths: [/b/], " + acl("staff") + "}", want: []string{limit}},
		"a group without a name":         {routes: "{name: root, paths: [/], " + acl("'a b'") + "}, {name: adm, paths: [/adm/], " + acl("admins") + "}", want: []string{limit}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			carol := ""
			if row.carol {
				carol = ", {username: carol, acls: [{group: staff}, {group: admins}]}"
			}
			text := kongConfiguration(t, strings.Replace(consumers, "CAROL", carol, 1)+kongRouted("", row.routes))
			got := importertest.Run(t, importer.Options{Format: "kong", Narrow: row.narrow}, map[string]string{"k.yaml": text}, func(in *importer.Import, names []string) error {
				return kongyaml.Read(in, names, row.flags)
			}, "k.yaml")
			for _, want := range row.want {
				if !strings.Contains(got, want) {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			}
			for _, not := range row.not {
				if strings.Contains(got, not) {
					t.Errorf("got\n%s\nwant no %s", got, not)
				}
			}
		})
	}
}
