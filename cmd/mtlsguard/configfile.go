package main

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/strictyaml"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
)

// configFile holds the file names and line numbers of an mtlsguard.yaml, for hints and
// for commands that edit files. Errors in the file are ignored: mtlsguard.Open reports
// them.
type configFile struct {
	path          string
	users, policy string       // resolved paths, or ""
	ports         []configPort // ports that serve users, and the tunnels of reverse
	lines         yamlLines
}

type configPort struct {
	Name         string                 `yaml:"name"`
	Strict       yaml.Node              `yaml:"strict"`
	Trust        yaml.Node              `yaml:"trust"`
	Forwarded    yaml.Node              `yaml:"forwarded"`
	ServerNames  []string               `yaml:"server_names"`
	Methods      []string               `yaml:"methods"`
	Registration yaml.Node              `yaml:"registration"`
	Tunnel       struct{ Check string } `yaml:"tunnel"`
	Clients      yaml.Node              `yaml:"clients"` // key of reverse
	file         string                 // the configuration
	line         int
	node         yaml.Node
	anchors      []string // resolved paths
	trustDomains []string
	trustLine    int
}

func readConfigFile(path string) (*configFile, error) {
	data, err := certfile.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f struct {
		Users   string      `yaml:"users"`
		Policy  string      `yaml:"policy"`
		Ports   []yaml.Node `yaml:"ports"`
		Reverse yaml.Node   `yaml:"reverse"`
	}
	if err := strictyaml.Decode(path, data, &f); err != nil {
		return nil, &configerror.Error{File: path, What: "this is not a configuration: " + err.Error(), Hint: "--config FILE with an mtlsguard.yaml"}
	}
	s := &configFile{path: path, users: useredit.Resolve(path, f.Users), policy: useredit.Resolve(path, f.Policy), lines: strings.Split(string(data), "\n")}
	nodes := f.Ports
	if !f.Reverse.IsZero() {
		nodes = append(nodes, f.Reverse)
	}
	for i := range nodes {
		n := &nodes[i]
		p := configPort{file: path, line: n.Line, node: *n}
		_ = n.Decode(&p) // mtlsguard.Open reports errors
		if !p.Registration.IsZero() || p.Tunnel.Check == "believed" {
			continue // such a port has neither mappings nor rules
		}
		if i == len(f.Ports) {
			p.Trust = p.Clients
			if p.Name == "" {
				p.Name = "tunnel" // the default of the key
			}
		}
		p.setAnchors()
		s.ports = append(s.ports, p)
	}
	return s, nil
}

func (s *configFile) port(name string) configPort {
	for _, p := range s.ports {
		if p.Name == name {
			return p
		}
	}
	return configPort{Name: name}
}

// isForwarded reports whether the port reads forwarded certificates.
func (p configPort) isForwarded() bool { return p.Forwarded.Kind != 0 }

// forUsers returns the port with the trust that verifies forwarded certificates.
func (p configPort) forUsers() configPort {
	var f struct {
		Trust yaml.Node `yaml:"trust"`
	}
	_ = p.Forwarded.Decode(&f) // mtlsguard.Open reports errors
	p.Trust = f.Trust
	p.setAnchors()
	return p
}

// setAnchors reads the anchors of the port's trust.
func (p *configPort) setAnchors() {
	var t struct {
		Anchors      []string
		TrustDomains []struct {
			Name    string
			Anchors []string
		} `yaml:"trust_domains"`
	}
	_ = p.Trust.Decode(&t) // mtlsguard.Open reports errors
	p.trustLine, p.anchors, p.trustDomains = p.Trust.Line, nil, nil
	for _, d := range t.TrustDomains {
		t.Anchors = append(t.Anchors, d.Anchors...)
		p.trustDomains = append(p.trustDomains, d.Name)
	}
	for _, a := range t.Anchors {
		p.anchors = append(p.anchors, useredit.Resolve(p.file, a))
	}
}

// placedAnchor is an anchor and where it stands.
type placedAnchor struct {
	trustaccess.Certificate
	file string
}

// placedAnchors returns the port's anchors with their positions.
func (p configPort) placedAnchors() []placedAnchor {
	var out []placedAnchor
	for _, name := range p.anchors {
		data, err := certfile.ReadFile(name)
		if err != nil {
			continue // mtlsguard.Open reports the error
		}
		certs, err := trustaccess.ReadCertificates(name, data)
		if err != nil {
			continue
		}
		for _, c := range certs {
			out = append(out, placedAnchor{c, name})
		}
	}
	return out
}

// placedCRL is a CRL of a port and where it stands.
type placedCRL struct {
	file string
	line int
}

func (l placedCRL) String() string { return fmt.Sprintf("%s:%d", l.file, l.line) }

// loadedCRLs returns the CRLs of the port that have the issuer of one of the certificates, or
// without certificates those whose issuer the detail of a refusal names.
func (p configPort) loadedCRLs(chain []*x509.Certificate, detail string) []placedCRL {
	var t struct{ CRLs []string }
	_ = p.Trust.Decode(&t) // mtlsguard.Open reports errors
	var out []placedCRL
	for _, name := range t.CRLs {
		name = useredit.Resolve(p.file, name)
		data, err := certfile.ReadFile(name)
		if err != nil {
			continue
		}
		lists, err := trustaccess.ReadCRLs(name, data)
		if err != nil {
			continue
		}
		for _, l := range lists {
			named := len(chain) == 0 && strings.Contains(detail, strconv.QuoteToASCII(dn.Print(&l.List.Issuer)))
			if named || slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return dn.Equal(c.RawIssuer, l.List.RawIssuer) }) {
				out = append(out, placedCRL{name, l.Line})
			}
		}
	}
	return out
}

// readAnchors returns the certificates of the port's anchors.
func (p configPort) readAnchors() []*x509.Certificate {
	var out []*x509.Certificate
	for _, name := range p.anchors {
		entries, err := certfile.Read(name, certfile.Passwords{})
		if err != nil {
			continue // mtlsguard.Open reports the error
		}
		for _, e := range entries {
			out = append(out, e.Chain...)
		}
	}
	return out
}

// topology returns the header format of the port's gateway, or RFC 9440 if the port has
// no gateway.
func (p configPort) topology() (forwarded.Topology, error) {
	if !p.isForwarded() {
		return forwarded.RFC9440(), nil
	}
	var f struct {
		Format, Header string
		Verified       struct{ Header, Value string }
	}
	if err := p.Forwarded.Decode(&f); err != nil {
		return forwarded.Topology{}, err
	}
	return forwarded.ParseTopology(f.Format, f.Header, f.Verified.Header, f.Verified.Value)
}

func (s *configFile) portNames() []string {
	var out []string
	for _, p := range s.ports {
		out = append(out, p.Name)
	}
	return out
}
