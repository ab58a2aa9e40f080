//go:build unix

// Command bench measures the cost of the guard beside other servers, in one run.
//
//	go run ./bench                      # net/http, a naive guard, mtlsguard
//	go run ./bench -only bare,twin,guard,nginx,haproxy,caddy
//	go run ./bench -only bare,serve,nginx,haproxy,caddy-proxy
//	go run ./bench -only bare,guard:10:10,guard:100000:1000000 -scenarios full,resumed
//	go run ./bench -only bare,guard -idle 900
//	go run ./bench -watch 2m -rules 100000 -mappings 1000000
//	go run ./bench -reload -rules 100000 -mappings 1000000 -revoked 100000 -ports 30
//	go run ./bench -reloads 20 -rules 100000 -mappings 1000000
//
// Every server is a process of its own on one core, and the load comes from another. The
// rounds alternate the order of the servers, so that a slower machine slows all of them
// down, and ratios are calculated within a round. The output is two tables in Markdown, first
// the processor time of one answer, then answers a second, with medians and ratios to bare
// net/http with their range. No test depends on the figures.
//
// -watch, -reload and -reloads measure one mtlsguard instead, on all processors unless -alone is set: what it costs
// to watch files that do not change; reloads after a change of each file, with the times of
// requests during a reload and without one; and memory after many reloads.
//
// guard:RULES:MAPPINGS is a guard with this number of rules, each for a group of its own, and
// of mappings. The same holds for logged.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// options holds the settings of one run.
type options struct {
	rules, groups, mappings, rounds int
	each                            time.Duration
	only                            []string
	scenarios                       []string
	out, profiles                   string
	gogc                            int
	ports, revoked, segment         int // of -watch, -reload and -reloads
	alone                           bool
}

func run() error {
	var o options
	var only, scenarios, serve, dir, plots string
	flag.IntVar(&o.rules, "rules", 10_000, "rules of the policy")
	flag.IntVar(&o.groups, "groups", 100, "groups of the policy")
	flag.IntVar(&o.mappings, "mappings", 1_000, "mappings of the users file")
	flag.IntVar(&o.rounds, "rounds", 7, "rounds")
	flag.DurationVar(&o.each, "each", 2*time.Second, "time of one measurement")
	flag.StringVar(&only, "only", "bare,twin,naive,guard,logged", "servers; the others are compared with the first")
	flag.StringVar(&scenarios, "scenarios", "h1,h2,full,resumed", "scenarios to measure")
	flag.StringVar(&o.out, "json", "", "write the figures to a file")
	flag.StringVar(&o.profiles, "profiles", "", "write a CPU profile of every Go server into a folder")
	flag.IntVar(&o.gogc, "gogc", 100, "GOGC of every Go server")
	flag.StringVar(&serve, "serve", "", "run as one of the servers (for internal use)")
	flag.StringVar(&dir, "dir", "", "folder of the certificates, with -serve")
	flag.StringVar(&plots, "plots", "", "measure over the number of rules and mappings, and write charts into a folder")
	var idle int
	flag.IntVar(&idle, "idle", 0, "measure memory instead, with this number of idle connections")
	flag.IntVar(&o.ports, "ports", 1, "ports, with -watch, -reload and -reloads")
	flag.IntVar(&o.revoked, "revoked", 1_000, "entries of the CRL, with -watch, -reload and -reloads")
	flag.BoolVar(&o.alone, "alone", false, "the server has one processor and the load has another one, with -watch, -reload and -reloads")
	flag.IntVar(&o.segment, "segment", 0, "mappings of one file in a folder of users, with -watch, -reload and -reloads; 0 makes one file")
	var watch time.Duration
	flag.DurationVar(&watch, "watch", 0, "measure instead what it costs to watch files for this time")
	reload := flag.Bool("reload", false, "measure reloads instead, and requests meanwhile")
	many := flag.Int("reloads", 0, "measure memory instead, after this number of reloads")
	flag.Parse()
	o.only, o.scenarios = strings.Split(only, ","), strings.Split(scenarios, ",")
	if serve != "" {
		freeMemoryOnSignal()
		if o.profiles != "" {
			if err := profile(serve, o.profiles); err != nil {
				return err
			}
		}
		return serveAs(serve, dir, o)
	}
	runtime.GOMAXPROCS(1) // the load runs on one core
	onLoadCore()
	switch {
	case idle > 0:
		return memory(o, idle)
	case watch > 0:
		return watching(o, watch)
	case *reload:
		return reloading(o)
	case *many > 0:
		return reloads(o, *many)
	}
	if plots != "" {
		return scale(o, plots)
	}
	return measure(o)
}

// figure holds the results of one server in one scenario, one number for each round.
type figure struct {
	Server   string    `json:"server"`
	Scenario string    `json:"scenario"`
	PerSec   []float64 `json:"per_second"`
	Micros   []float64 `json:"processor_us"` // for one answer
}

func measure(o options) error {
	figures, err := collect(o)
	if err != nil {
		return err
	}
	report(o, figures)
	if o.out == "" {
		return nil
	}
	var all []*figure
	for _, s := range o.only {
		for _, scenario := range o.scenarios {
			all = append(all, figures[[2]string{s, scenario}])
		}
	}
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.out, append(data, '\n'), 0o644)
}

// collect runs the rounds and returns the figures.
func collect(o options) (map[[2]string]*figure, error) {
	w, err := newWorld()
	if err != nil {
		return nil, err
	}
	defer w.close()
	servers := make([]*server, 0, len(o.only))
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	for _, name := range o.only {
		s, err := w.start(name, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		servers = append(servers, s)
	}
	figures := map[[2]string]*figure{}
	for round := range o.rounds + 1 {
		for _, scenario := range o.scenarios {
			order := slices.Clone(servers)
			if round%2 == 1 {
				slices.Reverse(order)
			}
			for _, s := range order {
				before, err := s.processorTime()
				if err != nil {
					return nil, err
				}
				n, count, err := w.load(scenario, s.addr, o.each)
				if err == nil && count == 0 {
					err = errors.New("no answer within the time of one measurement")
				}
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", s.name, scenario, err)
				}
				after, err := s.processorTime()
				if err != nil {
					return nil, err
				}
				if round == 0 {
					continue // the first round warms up
				}
				key := [2]string{s.name, scenario}
				if figures[key] == nil {
					figures[key] = &figure{Server: s.name, Scenario: scenario}
				}
				figures[key].PerSec = append(figures[key].PerSec, n)
				figures[key].Micros = append(figures[key].Micros, float64((after-before).Microseconds())/float64(count))
			}
		}
	}
	return figures, nil
}

// report prints medians and the ratio to the first server with its range, for answers a
// second and for the processor time of one answer.
func report(o options, figures map[[2]string]*figure) {
	fmt.Printf("%s, %d rules, %d mappings, GOGC=%d, %d rounds of %s; median, and ÷ %s (least–most)\n",
		runtime.Version(), o.rules, o.mappings, o.gogc, o.rounds, o.each, o.only[0])
	printTable := func(title string, numbers func(*figure) []float64) {
		fmt.Printf("\n| %s |%s\n|---|%s\n", title, strings.Join(prefix(o.scenarios, " "), " |")+" |", strings.Repeat("---|", len(o.scenarios)))
		for _, s := range o.only {
			fmt.Printf("| %s |", s)
			for _, scenario := range o.scenarios {
				mine, base := numbers(figures[[2]string{s, scenario}]), numbers(figures[[2]string{o.only[0], scenario}])
				ratios := make([]float64, len(mine))
				for i := range mine {
					ratios[i] = mine[i] / base[i]
				}
				fmt.Printf(" %.*f, %.2f (%.2f–%.2f) |", digits(median(mine)), median(mine), median(ratios), slices.Min(ratios), slices.Max(ratios))
			}
			fmt.Println()
		}
	}
	printTable("processor µs", func(f *figure) []float64 { return f.Micros })
	printTable("a second", func(f *figure) []float64 { return f.PerSec })
}

// digits returns the number of decimals that a number is printed with.
func digits(n float64) int {
	if n < 100 {
		return 1
	}
	return 0
}

func prefix(all []string, with string) []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = with + s
	}
	return out
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
