package prom_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/observe/internal/testsite"
	"github.com/mtlsguard/mtlsguard/observe/prom"
)

// dashboard holds the parts of dashboard.json that are checked here.
type dashboard struct {
	Title, UID    string
	SchemaVersion int
	Panels        []panel
	Templating    struct {
		List []struct {
			Name, Type string
			Query      any
		}
	}
	Annotations struct{ List []struct{ Expr string } }
}

type panel struct {
	ID          int
	Type, Title string
	Description string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ RefID, Expr, LegendFormat string }
}

// family is a metric with its kind and labels.
type family struct {
	kind   string
	labels []string
}

// families returns the metrics of a server by the names that a query can use.
func families(t *testing.T) map[string]family {
	t.Helper()
	m := metrics(t, prom.Config{})
	m.Watch(testsite.New(t).Open(mtlsguard.Options{}))
	r := prometheus.NewRegistry()
	r.MustRegister(m)
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]family{}
	for _, f := range all {
		one := family{kind: strings.ToLower(f.GetType().String())}
		for _, l := range f.GetMetric()[0].GetLabel() {
			one.labels = append(one.labels, l.GetName())
		}
		if one.kind != "histogram" {
			out[f.GetName()] = one
			continue
		}
		out[f.GetName()+"_sum"], out[f.GetName()+"_count"] = one, one
		one.labels = append(slices.Clone(one.labels), "le")
		out[f.GetName()+"_bucket"] = one
	}
	return out
}

var (
	metricName = regexp.MustCompile(`mtlsguard_[a-z_]+`)
	selection  = regexp.MustCompile(`(mtlsguard_[a-z_]+)?\{([^}]*)\}`)
	labelName  = regexp.MustCompile(`([a-z_]+)(?:=|!)`)
	grouped    = regexp.MustCompile(`by \(([^)]*)\)`)
	ofTargets  = []string{"job", "instance"} // labels that Prometheus adds
)

// checkQuery returns the errors of a query: unknown metrics, unknown labels, unbalanced
// brackets, and rates of metrics that are not counters.
func checkQuery(all map[string]family, query string) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	names := metricName.FindAllString(query, -1)
	if len(names) == 0 {
		say("it asks for no metric")
	}
	var has []string
	for _, n := range names {
		f, ok := all[n]
		if !ok {
			say("there is no metric %s", n)
		}
		has = append(has, f.labels...)
		counts := f.kind == "counter" || f.kind == "histogram"
		rated := regexp.MustCompile(`(rate|increase)\(` + n + `\b`).MatchString(query)
		if ok && counts != rated && strings.Contains(query, "(") && !strings.HasPrefix(query, "label_values") {
			say("%s is a %s, and a rate of it is asked for: %t", n, f.kind, rated)
		}
	}
	for _, s := range selection.FindAllStringSubmatch(query, -1) {
		labels := has
		if s[1] != "" {
			labels = all[s[1]].labels
		}
		for _, l := range labelName.FindAllStringSubmatch(s[2], -1) {
			if l[1] != "__name__" && !slices.Contains(labels, l[1]) && !slices.Contains(ofTargets, l[1]) {
				say("%s has no label %s", s[1], l[1])
			}
		}
	}
	for _, g := range grouped.FindAllStringSubmatch(query, -1) {
		for _, l := range strings.Split(g[1], ",") {
			if l = strings.TrimSpace(l); !slices.Contains(has, l) && !slices.Contains(ofTargets, l) {
				say("nothing has a label %s", l)
			}
		}
	}
	var open []rune
	quoted := false
	for _, c := range query {
		switch i := strings.IndexRune("()[]{}", c); {
		case c == '"':
			quoted = !quoted
		case quoted || i < 0:
		case i%2 == 0:
			open = append(open, c)
		case len(open) == 0 || rune("()[]{}"[i-1]) != open[len(open)-1]:
			say("a %q closes nothing", c)
		default:
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 || quoted {
		say("a bracket or quote is left open")
	}
	return wrong
}

// The check finds each kind of error.
func TestCheckQueryFindsEachError(t *testing.T) {
	t.Parallel()
	all := families(t)
	for query, fine := range map[string]bool{
		`sum by (port) (rate(mtlsguard_decisions_total{outcome="refuse"}[5m]))`:                        true,
		`sum by (port) (rate(mtlsguard_decision_total{outcome="refuse"}[5m]))`:                         false,
		`sum by (user) (rate(mtlsguard_decisions_total{outcome="refuse"}[5m]))`:                        false,
		`sum by (port) (rate(mtlsguard_decisions_total{version="1.3"}[5m]))`:                           false,
		`sum by (port) (rate(mtlsguard_decisions_total{outcome="refuse"}[5m])`:                         false,
		`sum by (port) (mtlsguard_decisions_total)`:                                                    false,
		`rate(mtlsguard_ready[5m])`:                                                                    false,
		`min by (port) (mtlsguard_anchors)`:                                                            true,
		`min by (port) (mtlsguard_anchors]`:                                                            false,
		`vector(1)`:                                                                                    false,
		`histogram_quantile(0.9, sum by (le) (rate(mtlsguard_handshake_duration_seconds_bucket[5m])))`: true,
		`histogram_quantile(0.9, sum by (le) (rate(mtlsguard_handshake_duration_seconds[5m])))`:        false,
	} {
		if wrong := checkQuery(all, query); (len(wrong) == 0) != fine {
			t.Errorf("%s: %v", query, wrong)
		}
	}
}

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
			t.Errorf("there is no variable $%s", m[1])
		}
	}
	kinds := []string{"row", "stat", "timeseries", "bargauge", "heatmap", "table"}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s: id %d is taken", p.Title, p.ID)
		}
		ids[p.ID] = true
		if !slices.Contains(kinds, p.Type) || p.Title == "" || p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("%q is a %s with %d queries, described as %q", p.Title, p.Type, len(p.Targets), p.Description)
		}
		if g := p.GridPos; g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("%s: %+v is no place", p.Title, g)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies over %s", p.Title, other)
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
		t.Errorf("%s is listed, and there is no such metric", name)
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
