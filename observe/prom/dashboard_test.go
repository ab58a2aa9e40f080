package prom_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The dashboard queries every metric, and only metrics that exist.
func TestDashboardQueriesEveryMetric(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 36 {
		t.Errorf("title %q, uid %q, schemaVersion %d", d.Title, d.UID, d.SchemaVersion)
	}
	all, shown := families(t), map[string]bool{}
	check := func(where, query string) {
		t.Helper()
		for _, w := range checkQuery(all, query) {
			t.Errorf("%s: %s: %s", where, query, w)
		}
		for _, n := range metricName.FindAllString(query, -1) {
			shown[n] = true
		}
	}
	variables := map[string]bool{"__rate_interval": true, "__interval": true, "__all": true}
	for _, v := range d.Templating.List {
		variables[v.Name] = true
		if q, ok := v.Query.(map[string]any); ok {
			check("variable "+v.Name, q["query"].(string))
		}
	}
	for _, a := range d.Annotations.List {
		check("annotation", strings.ReplaceAll(a.Expr, "changes(", "max_over_time("))
	}
	for _, m := range regexp.MustCompile(`\$\{?([A-Za-z_]+)`).FindAllStringSubmatch(string(data), -1) {
		if !variables[m[1]] {
			t.Errorf("the variable $%s does not exist", m[1])
		}
	}
	kinds := []string{"row", "stat", "timeseries", "bargauge", "heatmap", "table"}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s: id %d is used twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		if !slices.Contains(kinds, p.Type) || p.Title == "" || p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("%q is a %s with %d queries, described as %q", p.Title, p.Type, len(p.Targets), p.Description)
		}
		if g := p.GridPos; g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("%s: %+v is not a valid position", p.Title, g)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" {
					t.Fatalf("%s overlaps %s, want none", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		refs := map[string]bool{}
		for _, q := range p.Targets {
			if q.RefID == "" || refs[q.RefID] {
				t.Errorf("%s: refId %q", p.Title, q.RefID)
			}
			refs[q.RefID] = true
			check(p.Title, q.Expr)
		}
	}
	for name := range all {
		if !shown[name] && !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "handshake_duration_seconds_count") {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// docs/observe.md lists every metric with its labels, and no other. Its alerts query only
// metrics that exist.
func TestDocsListEveryMetric(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/observe.md")
	if err != nil {
		t.Fatal(err)
	}
	all := families(t)
	listed := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(mtlsguard_[a-z_]+)` \\| ([a-z]+) \\| ([^|]*) \\|").FindAllStringSubmatch(string(data), -1) {
		listed[m[1]] = strings.TrimSpace(m[2] + " " + strings.Trim(strings.ReplaceAll(m[3], "`", ""), "–"))
	}
	for name, f := range all {
		name, isBucket := strings.CutSuffix(name, "_bucket")
		if f.kind == "histogram" && !isBucket {
			continue
		}
		labels := slices.DeleteFunc(slices.Clone(f.labels), func(l string) bool { return l == "le" })
		slices.Sort(labels)
		want := strings.TrimSpace(f.kind + " " + strings.Join(labels, ", "))
		if listed[name] != want {
			t.Errorf("%s is %q, listed as %q", name, want, listed[name])
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("%s is listed but does not exist", name)
	}
	alerts := regexp.MustCompile(`(?m)^ +expr: '?(.*?)'?$`).FindAllStringSubmatch(string(data), -1)
	if len(alerts) < 8 {
		t.Errorf("%d alerts", len(alerts))
	}
	for _, a := range alerts {
		for _, w := range checkQuery(all, a[1]) {
			t.Errorf("%s: %s", a[1], w)
		}
	}
}
