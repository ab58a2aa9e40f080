package main

import (
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/expectation"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/reason"
)

type whoCmd struct {
	Config string `required:"" placeholder:"FILE" help:"The server's mtlsguard.yaml."`
	Port   string `placeholder:"NAME" help:"One port. Default: every port."`
	Log    string `placeholder:"FILE" help:"The server's log, for when each user was last seen. - is standard input."`
	Method string `arg:"" help:"GET, POST, …"`
	Path   string `arg:"" help:"The path as rules have it, without escapes."`
}

func (*whoCmd) Help() string {
	return `Lists the users that the policy allows a request, and the mappings by which a certificate becomes each of them. The server's own policy engine decides about every user.

Examples:
  mtlsguard who --config mtlsguard.yaml GET /orders/7
  mtlsguard who --config mtlsguard.yaml --port internal --log server.log GET /orders/7

Exit status: 0 at least one user may make the request, 1 no user may, 2 the command line, the configuration or the log has an error.`
}

func (c *whoCmd) Run(a *app) error {
	g, err := site.Load(a.ctx, c.Config, fileset.New(nil), nil, a.now, program(c.Config))
	if err != nil {
		return err
	}
	if err := c.check(g); err != nil {
		return err
	}
	seen := sightings{}
	if c.Log != "" {
		if _, err := readWholeLog(a, c.Log, "", seen.add); err != nil {
			return err
		}
	}
	out := whoReport{Method: c.Method, Path: c.Path, Ports: []portCallers{}}
	for _, p := range g.AllPorts() {
		if c.Port == "" || p.Config.Name == c.Port {
			w := callerSearch{g: g, p: &p, method: c.Method, path: c.Path, seen: seen[p.Config.Name], now: a.now()}
			out.Ports = append(out.Ports, w.find())
		}
	}
	if a.json {
		err = a.printJSON(out)
	} else {
		out.print(a, c.Log != "")
	}
	if err == nil && !slices.ContainsFunc(out.Ports, func(p portCallers) bool { return len(p.Users) > 0 }) {
		return errNegative
	}
	return err
}

// check rejects a request that no port can have.
func (c *whoCmd) check(g *site.Generation) error {
	row := expectation.Row{User: identity.Default, Port: c.Port, Method: c.Method, Path: c.Path}
	if c.Port == "" {
		row.Port = "*"
	}
	var s expectation.Site
	methods := map[string][]string{}
	for _, p := range g.AllPorts() {
		s.Ports = append(s.Ports, p.Config.Name)
		methods[p.Config.Name] = p.Guard.Methods
	}
	s.Methods = func(port string) []string { return methods[port] }
	err := expectation.Check("", []expectation.Row{row}, s)
	for _, e := range configerror.All(err) {
		if strings.HasSuffix(e.Hint, "write a row for each") {
			e.Hint = "a request has one method"
		}
	}
	return err
}

// sightings has when a log names a user last, by port and user.
type sightings map[string]map[string]sighting

type sighting struct {
	at      time.Time
	mapping string
}

// maxSightings bounds the users of a port that are kept from a log.
const maxSightings = 100_000

func (s sightings) add(_ []byte, l *logLine) {
	if !l.isRequest() || l.User == "" || l.Reason == string(reason.BadCredentials) {
		return
	}
	users := s[l.Port]
	if users == nil {
		if len(s) >= maxSightings {
			return
		}
		users = map[string]sighting{}
		s[l.Port] = users
	}
	old, known := users[l.User]
	if !known && len(users) >= maxSightings || l.Time.Before(old.at) {
		return
	}
	users[l.User] = sighting{l.Time, l.Mapping}
}
