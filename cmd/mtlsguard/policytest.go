package main

import (
	"bytes"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/expectation"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/source"
)

type policyCmd struct {
	Test policyTestCmd `cmd:"" help:"Compare the decisions of a policy with a table."`
}

type policyTestCmd struct {
	File   string `arg:"" help:"The table."`
	Config string `required:"" xor:"of" placeholder:"FILE" help:"The server's mtlsguard.yaml, which names the policy, the ports and additional methods."`
	Policy string `required:"" xor:"of" placeholder:"FILE" help:"The policy.csv itself. Port names are then not checked, and the port * has no name."`
}

func (*policyTestCmd) Help() string {
	return `A row is: user port method path allow|deny|denied|no-rule. Blanks separate the fields, # begins a comment, the port * is every port. deny is any refusal, denied a refusal by a rule, no-rule a refusal because no rule matches. The user Default is an anonymous caller. A row that no request can match, such as one with an unknown port, is an error.

Examples:
  mtlsguard policy test expected.txt --config mtlsguard.yaml
  mtlsguard policy test expected.txt --policy policy.csv

Exit status: 0 every decision is as expected, 1 one differs, 2 the table or the policy does not load.`
}

// policyTestReport is the JSON of policy test.
type policyTestReport struct {
	File   string                   `json:"file"`
	Rows   int                      `json:"rows"`
	Failed []expectation.Difference `json:"failed"`
}

func (c *policyTestCmd) Run(a *app) error {
	data, err := certfile.ReadFile(c.File)
	if err != nil {
		return err
	}
	rows, err := expectation.Parse(c.File, data)
	if err != nil {
		return err
	}
	engine, site, err := c.loadEngine(a)
	if err != nil {
		return err
	}
	if err := expectation.Check(c.File, rows, site); err != nil {
		return err
	}
	out := policyTestReport{File: c.File, Failed: []expectation.Difference{}}
	decisions, different := expectation.Compare(a.ctx, engine, rows, site.Ports)
	out.Rows, out.Failed = decisions, append(out.Failed, different...)
	if a.json {
		err = a.printJSON(out)
	} else {
		out.print(a)
	}
	if err == nil && len(out.Failed) > 0 {
		return errNegative
	}
	return err
}

func (t *policyTestReport) print(a *app) {
	for _, f := range t.Failed {
		a.printf("%s:%s\n", t.File, f)
	}
	a.printf("%s, %d failed\n", plural(t.Rows, "decision", "decisions"), len(t.Failed))
}

// loadEngine loads the policy, and returns what rows can name.
func (c *policyTestCmd) loadEngine(a *app) (*policy.Engine, expectation.Site, error) {
	name := c.Policy
	var options []policy.Option
	var site expectation.Site
	if c.Config != "" {
		if _, err := mtlsguard.Open(c.Config, mtlsguard.Options{Now: a.now, Source: source.Kept(), Certificates: programCertificates(c.Config)}); err != nil {
			return nil, site, err
		}
		s, err := readConfigFile(c.Config)
		if err != nil {
			return nil, site, err
		}
		var methods []string
		for _, p := range s.ports {
			methods = append(methods, p.Methods...)
		}
		name, site.Ports = s.policy, s.portNames()
		site.Methods = func(port string) []string { return s.port(port).Methods }
		options = append(options, policy.WithPorts(site.Ports...), policy.WithMethods(methods...))
	}
	data, err := certfile.ReadFile(name)
	if err != nil {
		return nil, site, err
	}
	engine, err := policy.Load(name, bytes.NewReader(data), options...)
	if err != nil {
		return nil, site, err
	}
	return engine, site, nil
}
