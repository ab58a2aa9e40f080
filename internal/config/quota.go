package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/configname"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// Quota is one element of quotas.
type Quota struct {
	Position
	Name     string
	Group    Scalar // empty: every caller
	Path     Scalar // empty: every path
	PerPort  bool
	Requests int // in each Interval
	Interval time.Duration
	Burst    int // 0: Requests
}

const (
	rateHint     = "write a number and s, m or h, such as 100/s, 10/m or 1000/h"
	maxRate      = 1_000_000 // requests a second
	maxBurstTime = 366 * 24 * time.Hour
)

func (p *parser) quotas(n *yaml.Node) []Quota {
	if n == nil {
		return nil
	}
	var out []Quota
	lines := map[string]int{}
	for _, c := range p.List(n, "quotas") {
		q := p.quota(c)
		if line, twice := lines[q.Name]; twice && q.Name != "" {
			p.Say(c, fmt.Sprintf("name: %q is already used", q.Name), fmt.Sprintf("the quota in line %d uses it: choose another", line))
		} else {
			lines[q.Name] = c.Line
		}
		out = append(out, q)
	}
	return out
}

func (p *parser) quota(n *yaml.Node) Quota {
	m := p.Map(n, "the quota", "name", "group", "path", "per", "rate", "burst")
	out := Quota{Position: Position{n}}
	if n.Kind != yaml.MappingNode {
		return out // reported by Map
	}
	out.Name, out.Group, out.Path = p.Text(m["name"], "name"), p.scalar(m["group"], "group"), p.scalar(m["path"], "path")
	if !configname.Valid(out.Name) {
		p.Say(at(m["name"], n), fmt.Sprintf("name: %q is not the name of a quota", out.Name), configname.Hint)
	}
	if m["group"] != nil && !username.IsName(out.Group.Value) {
		p.Say(m["group"], fmt.Sprintf("group: %q is not the name of a group", out.Group.Value), username.Hint)
	}
	if m["path"] != nil && out.Path.Value == "" {
		p.Say(m["path"], "path is empty", "write a path, or remove the key: then every path counts")
	}
	switch per := p.Text(m["per"], "per"); per {
	case "", "user":
	case "port":
		out.PerPort = true
	default:
		p.Say(m["per"], fmt.Sprintf("per: %q is neither user nor port", per), "use user, or port for all callers of a port together")
	}
	if m["rate"] == nil {
		p.Say(n, "rate is missing", rateHint)
		return out
	}
	p.rate(&out, m["rate"])
	out.Burst = p.count(m["burst"], "burst", 1)
	if out.Requests > 0 && time.Duration(max(out.Burst, out.Requests)) > maxBurstTime/out.Interval*time.Duration(out.Requests) {
		p.Say(m["burst"], fmt.Sprintf("burst: %d requests take longer than a year at this rate", out.Burst), "use a smaller burst or a higher rate")
	}
	return out
}

// rate reads a rate such as 100/s.
func (p *parser) rate(out *Quota, n *yaml.Node) {
	before := p.Wrong.Len()
	text := p.Text(n, "rate")
	if p.Wrong.Len() > before {
		return
	}
	requests, interval, ok := parseRate(text)
	switch {
	case !ok:
		p.Say(n, fmt.Sprintf("rate: %q is not a rate", text), rateHint)
	case requests > int(interval/time.Second)*maxRate:
		p.Say(n, fmt.Sprintf("rate: %s is more than a million a second", text), "such a quota would bound nothing: remove it")
	default:
		out.Requests, out.Interval = requests, interval
	}
}

// parseRate parses a rate: digits that do not begin with 0, a slash, and s, m or h.
func parseRate(text string) (requests int, interval time.Duration, ok bool) {
	digits, unit, _ := strings.Cut(text, "/")
	switch unit {
	case "s":
		interval = time.Second
	case "m":
		interval = time.Minute
	case "h":
		interval = time.Hour
	default:
		return 0, 0, false
	}
	if strings.Trim(digits, "0123456789") != "" || strings.HasPrefix(digits, "0") {
		return 0, 0, false
	}
	requests, err := strconv.Atoi(digits)
	return requests, interval, err == nil && requests <= math.MaxInt32
}
