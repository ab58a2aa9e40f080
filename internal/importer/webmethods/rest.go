package webmethods

import (
	"slices"
	"strconv"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/policy"
)

// route is a path of a service, with its methods.
type route struct {
	service       *service
	path, methods string
	line          *importer.Line
}

// maxRoutes bounds the table of --rest: each path is compared with every other one.
const maxRoutes = 3_000

// readREST reads the table of --rest.
func (s *instance) readREST() error {
	if s.options.REST == "" {
		return nil
	}
	const hint = "a first line service,path,methods, then one path of a service a line"
	rows, err := s.readTable(s.options.REST, hint, "service", "path", "methods")
	if err != nil {
		return err
	}
	d := &document{file: s.options.REST}
	if len(rows) > maxRoutes {
		return d.error(0, "the table has more than %d lines", maxRoutes)
	}
	var all []*route
	for _, row := range rows {
		r := &route{path: row.cells["path"], methods: strings.ToUpper(row.cells["methods"])}
		if r.methods == "" {
			r.methods = invokeMethods
		}
		name := row.cells["service"]
		r.line = s.in.Line(d.at(row.line), name+" = "+r.methods+" "+r.path)
		if s.checkRoute(r, name) {
			all = append(all, r)
		}
	}
	s.dropAmbiguous(all)
	return nil
}

// checkRoute sets the service of a route, or reports why it is not carried.
func (s *instance) checkRoute(r *route, name string) bool {
	rule := policy.Rule{Subject: "group:" + everybody, Port: "*", Method: r.methods, Path: r.path, Effect: policy.Deny}
	switch {
	case !isServiceName(name, false):
		r.line.Skip(escape.Quote(name, escape.Short)+" is not the name of a service", "write the whole name, such as acme.orders:create")
	case s.services[name] == nil && !s.hasFolder(name):
		r.line.Skip("the service is not in aclmap_sm.cnf, an access list or --ns, and neither are its folders", "--ns FOLDER with the package, or correct the name")
	case r.path == "*" || overlap(r.path, invokeFolder+"*"):
		r.line.Skip("the path matches other services too", "write the service's own path")
	case strings.Contains(r.path, "{user}"):
		r.line.Skip("{user} is the caller's own name in a rule", "another name, such as {id}")
	default:
		if _, err := policy.New([]policy.Rule{rule}, nil); err != nil {
			r.line.Skip("no rule can have it: "+strings.TrimPrefix(configerror.All(err)[0].What, "rule 1: "), "correct the path or the methods")
			return false
		}
		r.service = s.service(name, r.line)
		r.service.known, r.service.isREST = true, true
		return true
	}
	return false
}

// hasFolder reports whether a folder above a service has an ACL.
func (s *instance) hasFolder(name string) bool {
	for name = folderOf(name); name != ""; name = folderOf(name) {
		if _, ok := s.entries[name]; ok {
			return true
		}
	}
	return false
}

// dropAmbiguous gives the services their paths. Two paths that one request may match, of services
// with different access, are both left out: who may call the one could call the other.
func (s *instance) dropAmbiguous(all []*route) {
	drop := map[*route]*route{}
	for i, r := range all {
		r.service.rest = append(r.service.rest, r)
		for _, o := range all[:i] {
			if o.service != r.service && overlap(o.path, r.path) && shareMethod(o.methods, r.methods) && !s.sameAccess(o.service.name, r.service.name) {
				drop[r], drop[o] = o, r
			}
		}
	}
	for r, other := range drop {
		r.service.rest = slices.DeleteFunc(r.service.rest, func(o *route) bool { return o == r })
		r.line.Skip("a request for it may also be one for "+other.service.name+" (line "+strconv.Itoa(other.line.Line)+"), which has another ACL or is reached by other ports", "write paths and methods that do not overlap")
	}
}

// sameAccess reports whether the same users may call two services on the same ports.
func (s *instance) sameAccess(a, b string) bool {
	return s.aclOf(a) == s.aclOf(b) && !slices.ContainsFunc(s.ports, func(p *port) bool { return p.reaches(a) != p.reaches(b) })
}

// overlap reports whether a path may match both patterns. It may be true for some that cannot.
func overlap(a, b string) bool {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	for i := range min(len(x), len(y)) {
		last := i > 0 && (x[i] == "*" && i == len(x)-1 || y[i] == "*" && i == len(y)-1)
		switch {
		case last:
			return true
		case x[i] != y[i] && !strings.HasPrefix(x[i], "{") && !strings.HasPrefix(y[i], "{"):
			return false
		}
	}
	return len(x) == len(y)
}

// shareMethod reports whether two lists have a method in common. GET covers HEAD.
func shareMethod(a, b string) bool {
	head := func(list string) []string {
		return strings.Split(strings.ReplaceAll(list, "GET", "GET|HEAD"), "|")
	}
	return a == "*" || b == "*" || slices.ContainsFunc(head(a), func(m string) bool { return slices.Contains(head(b), m) })
}
