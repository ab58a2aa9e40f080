package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/source"
)

type statusCmd struct {
	Wait   time.Duration `placeholder:"TIME" help:"Wait up to this time, such as 30s, until every node has the newest generation."`
	Silent time.Duration `default:"5m" placeholder:"TIME" help:"A node whose report is older is silent. Nodes report each minute. Default: ${default}."`
	Nodes  int           `placeholder:"N" help:"How many nodes there should be. With fewer, the answer is no."`
	storeFlags
}

func (*statusCmd) Help() string {
	return `Shows for each node which generation is in effect there, which one it refused and why, and how old its report is. Times are by the clock of the node.

Examples:
  mtlsguard-fleet status --store fleet-store
  mtlsguard-fleet status --store fleet-store --wait 30s --nodes 3

Exit status: 0 every node has the newest generation and reported lately, 1 one has not, or there are too few or none, 2 the store cannot be read.`
}

// statusReport is the JSON of status.
type statusReport struct {
	Fleet  string       `json:"fleet"`
	Number uint64       `json:"number"` // of the newest generation
	Digest string       `json:"digest"`
	Nodes  []nodeStatus `json:"nodes"`
}

// nodeStatus is the report of a node, and its state.
type nodeStatus struct {
	source.Report
	State string  `json:"state"` // current, behind, refused, silent or other
	Age   float64 `json:"age"`   // of the report, in seconds
}

func (c *statusCmd) Run(a *app) error {
	s, end, err := c.open(a, "")
	if err != nil {
		return err
	}
	defer end()
	deadline := time.Now().Add(c.Wait)
	for {
		out, err := c.look(a, s)
		if err != nil {
			return err
		}
		ok := len(out.Nodes) > 0 && len(out.Nodes) >= c.Nodes
		for _, n := range out.Nodes {
			ok = ok && n.State == "current"
		}
		if !ok && time.Now().Before(deadline) && pause(a.ctx) {
			continue
		}
		if a.json {
			err = a.printJSON(out)
		} else {
			c.print(a, out)
		}
		if err == nil && !ok {
			return console.ErrNegative
		}
		return err
	}
}

// pause waits for a moment, and reports whether the command continues.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(200 * time.Millisecond):
		return true
	}
}

// look reads the reports.
func (c *statusCmd) look(a *app, s *store) (*statusReport, error) {
	g, err := s.number(0)
	if err != nil {
		return nil, err
	}
	reports, err := s.Reports(s.ctx)
	if errors.Is(err, source.ErrUnsupported) {
		return nil, console.UsageError("the store keeps no reports of nodes", "mtlsguard status on a node shows its generation")
	}
	if err != nil {
		return nil, s.error(err)
	}
	out := &statusReport{Fleet: g.Manifest.Fleet, Number: g.Manifest.Number, Digest: g.Digest().String(), Nodes: []nodeStatus{}}
	for _, r := range reports {
		age := a.now().Sub(r.At)
		out.Nodes = append(out.Nodes, nodeStatus{r, c.state(g, r, age), max(age, 0).Round(time.Millisecond).Seconds()})
	}
	return out, nil
}

// state returns the state of a node.
func (c *statusCmd) state(g *source.Generation, r source.Report, age time.Duration) string {
	switch {
	case r.Refused != 0:
		return "refused"
	case age > c.Silent:
		return "silent"
	case r.Number < g.Manifest.Number:
		return "behind"
	case r.Number > g.Manifest.Number || r.Digest != g.Digest():
		return "other" // the store was restored from a backup, perhaps
	}
	return "current"
}

func (c *statusCmd) print(a *app, out *statusReport) {
	a.printf("fleet %s, generation %d\n", escape.Printable(out.Fleet, 0), out.Number)
	if len(out.Nodes) == 0 {
		a.printf("no node has reported\n")
		return
	}
	rows := [][]string{{"NODE", "GENERATION", "SINCE", "STATE", "REPORT"}}
	for _, n := range out.Nodes {
		state := n.State
		if n.Refused != 0 {
			state = "refused " + formatNumber(n.Refused)
		}
		age := time.Duration(n.Age * float64(time.Second)).Round(time.Second)
		rows = append(rows, []string{escape.Printable(n.Node, 0), formatNumber(n.Number), formatTime(n.Since), state, fmt.Sprintf("%v ago", age)})
	}
	a.printTable(rows)
	for _, n := range out.Nodes {
		for _, e := range n.Errors {
			a.printf("%s: %s\n", escape.Printable(n.Node, 0), escape.Printable(e, 0))
		}
	}
	if c.Nodes > len(out.Nodes) {
		a.printf("%d nodes have reported, and there should be %d\n", len(out.Nodes), c.Nodes)
	}
}
