//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/policy"
)

// scale measures the time of a decision over the number of rules, and the requests a second
// over the number of mappings. It writes charts and their figures into a folder.
func scale(o options, dir string) error {
	decisions, err := decisionsOverRules()
	if err != nil {
		return err
	}
	throughput, err := throughputOverMappings(o)
	if err != nil {
		return err
	}
	for name, c := range map[string]chart{"decision-over-rules": decisions, "requests-over-mappings": throughput} {
		data, err := json.MarshalIndent(c, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name+".json"), append(data, '\n'), 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name+".svg"), []byte(c.svg()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// maxCasbinRules bounds the measurement of Casbin's enforcer: with more rules one decision
// takes too long for a request.
const maxCasbinRules = 10_000

func decisionsOverRules() (chart, error) {
	ours, casbinSeries := series{Name: "mtlsguard"}, series{Name: "Casbin's Enforce"}
	for _, rules := range []int{10, 100, 1_000, 10_000, 100_000} {
		e, err := policy.Load("policy.csv", strings.NewReader(policyFile(rules, 100)))
		if err != nil {
			return chart{}, err
		}
		r := policy.Request{User: "alice", Port: "internal", Method: "GET", Path: "/orders/7"}
		ours.add(rules, testing.Benchmark(func(b *testing.B) {
			for b.Loop() {
				if d, err := e.Decide(context.Background(), r); err != nil || !d.Allowed {
					b.Fatal(d, err)
				}
			}
		}))
		if rules > maxCasbinRules {
			continue
		}
		enforcer, err := e.Enforcer()
		if err != nil {
			return chart{}, err
		}
		casbinSeries.add(rules, testing.Benchmark(func(b *testing.B) {
			for b.Loop() {
				if ok, err := enforcer.Enforce("user:alice", "internal", "GET", "/orders/7"); err != nil || !ok {
					b.Fatal(ok, err)
				}
			}
		}))
	}
	return chart{Title: "Time of one decision", X: "rules", Y: "nanoseconds", LogY: true, Series: []series{ours, casbinSeries}}, nil
}

func (s *series) add(x int, r testing.BenchmarkResult) {
	s.Points = append(s.Points, point{float64(x), float64(r.T.Nanoseconds()) / float64(r.N)})
}

func throughputOverMappings(o options) (chart, error) {
	servers := []string{"bare", "naive", "guard"}
	all := make([]series, len(servers))
	for _, mappings := range []int{100, 1_000, 10_000, 100_000, 1_000_000} {
		o := o
		o.mappings, o.only, o.scenarios = mappings, servers, []string{"h1"}
		figures, err := collect(o)
		if err != nil {
			return chart{}, err
		}
		for i, name := range servers {
			all[i].Name = map[string]string{"bare": "net/http", "naive": "naive guard, 100 rules", "guard": "mtlsguard"}[name]
			all[i].Points = append(all[i].Points, point{float64(mappings), median(figures[[2]string{name, "h1"}].PerSec)})
		}
		fmt.Fprintf(os.Stderr, "%d mappings measured\n", mappings)
	}
	return chart{Title: fmt.Sprintf("Requests a second, HTTP/1.1 keep-alive, one core, %d rules", o.rules), X: "mappings", Y: "requests a second", Series: all}, nil
}
