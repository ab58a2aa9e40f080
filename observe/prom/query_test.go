package prom_test

import (
	"fmt"
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
	site := testsite.New(t)
	m.Watch(site.Open(mtlsguard.Options{Source: site.Follow()}))
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
	report := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	names := metricName.FindAllString(query, -1)
	if len(names) == 0 {
		report("it queries no metric")
	}
	var has []string
	for _, n := range names {
		f, ok := all[n]
		if !ok {
			report("metric %s does not exist", n)
		}
		has = append(has, f.labels...)
		counts := f.kind == "counter" || f.kind == "histogram"
		rated := regexp.MustCompile(`(rate|increase)\(` + n + `\b`).MatchString(query)
		if ok && counts != rated && strings.Contains(query, "(") && !strings.HasPrefix(query, "label_values") {
			report("%s is a %s, rate in the query: %t", n, f.kind, rated)
		}
	}
	for _, s := range selection.FindAllStringSubmatch(query, -1) {
		labels := has
		if s[1] != "" {
			labels = all[s[1]].labels
		}
		for _, l := range labelName.FindAllStringSubmatch(s[2], -1) {
			if l[1] != "__name__" && !slices.Contains(labels, l[1]) && !slices.Contains(ofTargets, l[1]) {
				report("%s has no label %s", s[1], l[1])
			}
		}
	}
	for _, g := range grouped.FindAllStringSubmatch(query, -1) {
		for _, l := range strings.Split(g[1], ",") {
			if l = strings.TrimSpace(l); !slices.Contains(has, l) && !slices.Contains(ofTargets, l) {
				report("no metric has a label %s", l)
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
			report("unbalanced %q", c)
		default:
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 || quoted {
		report("an open bracket or quote")
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
			t.Errorf("%s: got %v", query, wrong)
		}
	}
}
