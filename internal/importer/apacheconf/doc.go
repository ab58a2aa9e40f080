// Package apacheconf imports the users of FakeBasicAuth of Apache httpd, their groups, and the
// Location sections that require them.
//
//	SSLVerifyClient require
//	<Location /orders>
//	    SSLOptions +FakeBasicAuth
//	    AuthType Basic
//	    AuthName orders
//	    AuthUserFile users
//	    AuthGroupFile groups
//	    Require group staff
//	</Location>
package apacheconf

import (
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// Options are the flags of the format.
type Options struct {
	Host string // the VirtualHost to read: its address or its ServerName; "": the only one
}

// Read reads a configuration.
func Read(in *importer.Import, name string, o Options) error {
	c := &config{in: in, main: name}
	all, err := c.read(name, 0)
	if err != nil {
		return err
	}
	s := &server{in: in, main: name}
	hosts, err := chooseHost(name, all, o.Host)
	if err != nil {
		return err
	}
	s.read(all)
	if hosts != nil {
		s.read(hosts.children)
	}
	if s.authorityFile != "" {
		in.ReadAuthorities(name, "SSLCACertificateFile", []string{s.authorityFile})
	}
	in.Remark("Directory, Files, .htaccess, rewriting and the directives of other modules are not read. A path that no Location requires a user for is refused here")
	if s.verifyDepth != "" {
		in.Remark("SSLVerifyDepth " + escape.Printable(s.verifyDepth, escape.Short) + " is not read: trust: {max_depth: …} on the port bounds the length of a chain")
	} else {
		in.Remark("without SSLVerifyDepth httpd verifies no certificate below an intermediate authority; here it does, unless the port trusts others or max_depth bounds it")
	}
	return s.carry()
}

// chooseHost returns the VirtualHost to read, nil if there is none.
func chooseHost(file string, all []*node, name string) (*node, error) {
	var hosts []*node
	var names []string
	for _, n := range flatten(all) {
		if n.section && n.name == "virtualhost" {
			hosts = append(hosts, n)
		}
	}
	var found []*node
	for _, h := range hosts {
		label := strings.Join(h.words, " ")
		serverName := ""
		for _, n := range h.children {
			if n.name == "servername" && len(n.words) == 1 {
				serverName = n.words[0]
			}
		}
		names = append(names, strings.TrimSpace(label+" "+serverName))
		if name == "" || strings.EqualFold(name, serverName) || strings.EqualFold(name, label) {
			found = append(found, h)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(hosts) == 0 && name == "":
		return nil, nil
	case len(found) == 0:
		return nil, &configerror.Error{File: file, What: "--host: no VirtualHost has the address or the ServerName " + escape.Quote(name, escape.Short), Hint: "the hosts are " + escape.Printable(strings.Join(names, ", "), 1000)}
	}
	return nil, &configerror.Error{File: file, What: "several VirtualHosts: " + escape.Printable(strings.Join(names, ", "), 1000), Hint: "--host with the ServerName or the address of one, for one at a time"}
}

// flatten returns directives and sections with those of Include and of conditions that hold.
func flatten(all []*node) (out []*node) {
	for _, n := range all {
		if isTransparent(n) {
			out = append(out, flatten(n.children)...)
			continue
		}
		out = append(out, n)
	}
	return out
}

// isTransparent reports whether the directives in a node are those of its parent: of an Include,
// and of a condition on a module that FakeBasicAuth needs anyway.
func isTransparent(n *node) bool {
	if n.name == "include" || n.name == "includeoptional" {
		return !n.missing
	}
	if !n.section || n.name != "ifmodule" || len(n.words) != 1 {
		return false
	}
	module := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(n.words[0]), "mod_"), ".c"), "_module")
	switch module {
	case "ssl", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic":
		return true
	}
	return false
}
