package importer

import (
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
)

// Port is an element of ports in ports.yaml. Empty fields are left out.
type Port struct {
	Name, Listen, ClientCert string
	Cert, Key                string   // files of the server's certificate
	Anchors                  []string // files of the authorities that the port trusts
	Unmapped                 string   // the user of verified certificates that no mapping names
	NotStrict                bool     // the port takes a request without a certificate for the user Default
}

// port is a port with its source.
type port struct {
	Port
	line *Line
}

// Port adds a port. It reports one that does not load, and returns false.
func (l *Line) Port(p Port) bool {
	one := port{p, l}
	if err := checkPorts([]port{one}); err != nil {
		all := configerror.All(err)
		l.Skip("the port would not load: "+all[0].What, all[0].Hint)
		return false
	}
	for _, other := range l.in.ports {
		if err := checkPorts([]port{other, one}); err != nil {
			all := configerror.All(err)
			l.Skip("the port would not load beside another: "+all[0].What, all[0].Hint)
			return false
		}
	}
	l.in.ports = append(l.in.ports, one)
	l.Carry("ports.yaml: " + p.Name)
	return true
}

// HasPort reports whether a port of this name is written.
func (in *Import) HasPort(name string) bool {
	for _, p := range in.ports {
		if p.Name == name {
			return true
		}
	}
	return false
}

// text returns the port in the flow style of YAML.
func (p *Port) text() string {
	var parts []string
	add := func(key, value string) {
		if value != "" {
			parts = append(parts, key+": "+usersfile.Quote(value))
		}
	}
	add("name", p.Name)
	add("listen", p.Listen)
	add("client_cert", p.ClientCert)
	if p.Cert != "" || p.Key != "" {
		parts = append(parts, fmt.Sprintf("certificate: {cert: %s, key: %s}", usersfile.Quote(p.Cert), usersfile.Quote(p.Key)))
	}
	if p.Anchors != nil {
		var all []string
		for _, a := range p.Anchors {
			all = append(all, usersfile.Quote(a))
		}
		parts = append(parts, "trust: {anchors: ["+strings.Join(all, ", ")+"]}")
	}
	add("unmapped", p.Unmapped)
	if p.NotStrict {
		parts = append(parts, "strict: false")
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// portsText returns ports.yaml.
func portsText(all []port) string {
	var b strings.Builder
	b.WriteString("ports:\n")
	for _, p := range all {
		fmt.Fprintf(&b, "  - %s  # %s\n", p.text(), p.line.comment())
	}
	return b.String()
}

// checkPorts parses ports as a part of mtlsguard.yaml. The files that they name need not exist.
func checkPorts(all []port) error {
	var wrong errorlist.List
	config.Parse("ports.yaml", []byte("users: users.yaml\npolicy: policy.csv\n"+portsText(all)), config.Program{}, &wrong)
	return wrong.Err()
}
