// Package kongyaml imports the declarative configuration of Kong: the consumers with their subject
// names, their groups, and the routes with the plugins mtls-auth and acl.
//
// Kong decides by one route for each request, and the most specific one wins. Rules here add up, and
// a denial wins. So a route is compared with every other that may take a part of its requests
// (overlap.go): what that route refuses is denied here too, or the import ends.
package kongyaml

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/hostname"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/strictyaml"
)

// Options are the flags of the format.
type Options struct {
	Host          string // the server gets requests to this host alone; "": hosts are conditions
	SameCase      bool   // no two names of an authority differ in upper and lower case alone
	WholeSegments bool   // no path continues the path of a route within a segment
}

// maxBytes bounds the size of a file: its nodes take a hundred times as much memory.
const maxBytes = 16 << 20

// Read reads the files of one configuration.
func Read(in *importer.Import, files []string, o Options) error {
	if o.Host != "" && !hostname.Valid(o.Host) {
		return &configerror.Error{What: fmt.Sprintf("--host: %q is not a host name", o.Host), Hint: "--host api.acme.example"}
	}
	c := &config{passedOver: map[string]bool{}}
	for _, name := range files {
		data, err := in.ReadFile(name)
		if err == nil && len(data) > maxBytes {
			err = &configerror.Error{File: name, What: fmt.Sprintf("the configuration is larger than %d MiB", maxBytes>>20), Hint: "split the file"}
		}
		if err != nil {
			return err
		}
		root, err := strictyaml.Read(name, data)
		if err != nil {
			return err
		}
		c.readFile(name, root)
		if unread := c.unread(root); len(unread) > 0 {
			in.Remark("not read: " + strings.Join(unread, ", "))
		}
	}
	c.link()
	if err := c.Wrong.Err(); err != nil {
		return err
	}
	i := &importing{config: c, Import: in, options: o, issuers: in.Authorities(), groupNames: map[string]string{}, written: map[string]bool{}, ofClass: map[string][]*route{}, byName: map[string][]*importer.Certificate{}}
	i.carryAuthorities()
	for _, one := range in.Certificates.All() {
		for _, text := range readNames(one).sure {
			i.byName[text] = append(i.byName[text], one)
		}
	}
	if err := i.carryRoutes(); err != nil {
		return err
	}
	i.carryConsumers()
	i.remark()
	if err := c.Wrong.Err(); err != nil {
		return err
	}
	return i.compare()
}

// importing is an import of a configuration.
type importing struct {
	*config
	*importer.Import
	options    Options
	issuers    []*importer.Authority // of --issuer
	elements   []*element
	everyone   string            // of the methods: *, or all that rules know
	groupNames map[string]string // groups here, and in the source
	written    map[string]bool   // rules
	names      map[string][]*name
	byName     map[string][]*importer.Certificate // of --certs
	ofClass    map[string][]*route                // that let consumers of the same groups in
}

func (i *importing) remark() {
	if len(i.passedOver) > 0 {
		i.Remark("plugins that do not decide who may call are not carried: " + strings.Join(sorted(i.passedOver), ", "))
	}
	if slices.ContainsFunc(i.elements, func(e *element) bool { return e.kind == granted && e.set&(bitGET|bitHEAD) == bitGET }) {
		i.Remark("a rule for GET is one for HEAD too")
	}
	if len(i.routes) > 0 {
		i.Remark("the paths are those that clients request: strip_path, and the path of a service, are not applied")
	}
}

// group returns the name of a group here. Two groups must not become one.
func (i *importing) group(l *importer.Line, name string) (string, bool) {
	to, ok := l.Group(name)
	if !ok {
		return "", false
	}
	if other, taken := i.groupNames[to]; taken && other != name {
		l.Skip(fmt.Sprintf("the groups %q and %q would be one", other, name), "--rename with two names")
		return "", false
	}
	i.groupNames[to] = name
	return to, true
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// isUnresolved reports whether a value stands elsewhere: in the environment or in a vault.
func isUnresolved(text string) bool {
	return strings.Contains(text, "${{") || strings.HasPrefix(text, "{vault://")
}
