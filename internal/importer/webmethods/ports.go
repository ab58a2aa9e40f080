package webmethods

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/configname"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// port is a port that is carried.
type port struct {
	name string
	line *importer.Line
	access
}

// listenersFile is a file of ports.
const listenersFile = "listeners.cnf"

// readPorts reads the ports of the instance and its packages.
func (s *instance) readPorts() error {
	files, err := s.listeners()
	if err != nil {
		return err
	}
	for _, d := range files {
		all, err := d.records("listeners")
		if err != nil {
			return err
		}
		for _, e := range all {
			if err := s.readPort(d, e); err != nil {
				return err
			}
		}
	}
	switch {
	case len(files) == 0:
		return &configerror.Error{File: s.folder, What: "no listeners.cnf is in the folder: without ports no rule can be written", Hint: "--listeners packages/WmRoot/config/listeners.cnf, or name the folder of the instance with config and packages"}
	case len(s.ports) == 0:
		s.in.Remark("no port is carried: without a port no rule is written")
	}
	s.in.Remark("lists of IP addresses are not in these files: write them into addresses of the ports")
	return nil
}

// listeners returns the files of ports.
func (s *instance) listeners() (out []*document, err error) {
	names := []string{filepath.Join(s.config, listenersFile)}
	if s.config != "" {
		packages, err := os.ReadDir(filepath.Join(s.folder, "packages"))
		if err != nil && !os.IsNotExist(err) {
			return nil, &configerror.Error{File: filepath.Join(s.folder, "packages"), What: "the packages cannot be read", Hint: "check the permissions"}
		}
		for _, p := range packages {
			names = append(names, filepath.Join("packages", p.Name(), "config", listenersFile))
		}
	}
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(s.folder, name)); err != nil {
			continue // a package without ports
		}
		d, err := s.readFile(name)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	for _, path := range s.options.Listeners {
		d, err := s.readDocument(path)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// readPort adds a port, or reports why not.
func (s *instance) readPort(d *document, e entry) error {
	t, err := d.texts(e, "port", "protocol", "enabled", "suspended", "portAlias", "clientAuth", "keyStore", "alias", "trustStore", "listenerType", "bindAddress")
	if err != nil {
		return err
	}
	l := s.in.Line(d.at(e.line), strings.TrimSpace(fmt.Sprintf("port %s: %s %s, clientAuth %s", t["portAlias"], t["protocol"], t["port"], t["clientAuth"])))
	for _, f := range e.entries {
		if isAddressList(f.name) && (f.kind != "null" && f.text != "" || len(f.entries) > 0) {
			l.Limit(escape.Quote(f.name, escape.Short)+" seems to be a list of addresses", "remove it in a copy of the file, and write addresses of the port by hand")
			return nil
		}
	}
	mode := strings.ToLower(t["clientAuth"])
	switch {
	case t["enabled"] != "" && !strings.EqualFold(t["enabled"], "true") || t["suspended"] != "" && !strings.EqualFold(t["suspended"], "false"):
		l.Carry("disabled there: no port")
	case !strings.EqualFold(t["protocol"], "HTTPS"):
		l.Skip("every port here is HTTPS", "if the services of this port are needed, add an HTTPS port")
	case t["listenerType"] != "" && !strings.EqualFold(t["listenerType"], "Regular") && !strings.EqualFold(t["listenerType"], "Primary"):
		l.Skip("a port of the type "+escape.Quote(t["listenerType"], escape.Short)+" is not a port for callers alone", "for reverse invoke (Enterprise Gateway) see docs/reverse.md")
	case mode != "none" && mode != "request" && mode != "require":
		l.Skip("clientAuth "+escape.Quote(t["clientAuth"], escape.Short)+" is another way to log in", "request or require, with certificates for the users")
	default:
		return s.addPort(d, e, l, mode, t)
	}
	return nil
}

// addPort adds a port that is carried.
func (s *instance) addPort(d *document, e entry, l *importer.Line, mode string, t map[string]string) error {
	access, err := s.readAccess(d, e, l)
	if err != nil {
		return err
	}
	name := t["portAlias"]
	if !configname.Valid(name) {
		name = "https-" + t["port"]
		l.Change("its name here is " + name)
	}
	p := importer.Port{Name: name, Listen: net.JoinHostPort(t["bindAddress"], t["port"]), ClientCert: mode}
	keystore, alias := t["keyStore"], t["alias"]
	base := alias
	if alias == "" {
		base = "server"
	}
	base = s.fileName(l, base, "entry "+escape.Quote(alias, escape.Short)+" of keystore "+orDefault(keystore), ".pem", "-key.pem")
	p.Cert, p.Key = base+".pem", base+"-key.pem"
	hint := fmt.Sprintf("port %s: %s and %s are entry %s of keystore %s", name, p.Cert, p.Key, escape.Quote(alias, escape.Short), orDefault(keystore))
	if mode != "none" {
		trust := t["trustStore"]
		if trust == "" {
			l.Change("its trust store is that of the server there: here each port names its own")
		}
		p.Anchors = []string{s.fileName(l, orDefault(trust), "the authorities of trust store "+orDefault(trust), ".pem") + ".pem"}
		hint += fmt.Sprintf(", and %s the authorities of trust store %s", p.Anchors[0], orDefault(trust))
	}
	hint += ": mtlsguard keys import writes the entries of their files"
	if l.Port(p) {
		s.ports = append(s.ports, &port{name: name, line: l, access: access})
		s.in.Remark(hint)
		if mode == "none" {
			l.Change("callers log in with a password there: here the port requests no certificate, so it refuses every caller until client_cert is request or require")
		}
	}
	return nil
}

// fileName returns the name of files without their ends, which is of no other content. Otherwise a
// port could have the key of another, or trust the authority of its own certificate.
func (s *instance) fileName(l *importer.Line, name, content string, ends ...string) string {
	base := escape.FileName(name)
	out := base
	for n := 2; slices.ContainsFunc(ends, func(end string) bool { of, taken := s.files[out+end]; return taken && of != content+end }); n++ {
		out = fmt.Sprintf("%s-%d", base, n)
	}
	for _, end := range ends {
		s.files[out+end] = content + end
	}
	if out != base {
		l.Change(fmt.Sprintf("%s is %s.pem here, because %s.pem is something else: mtlsguard keys import into a folder of its own, and rename the files", content, out, base))
	}
	return out
}

// orDefault returns the alias of a keystore or trust store, or the server's own one.
func orDefault(alias string) string {
	if alias == "" {
		return "default"
	}
	return alias
}

// isAddressList reports whether a name in a port is about addresses of callers.
func isAddressList(name string) bool {
	name = strings.ToLower(name)
	return (strings.Contains(name, "host") || strings.HasPrefix(name, "ip")) && (strings.Contains(name, "access") || strings.Contains(name, "allow") || strings.Contains(name, "deny") || strings.Contains(name, "rule") || strings.Contains(name, "list"))
}
