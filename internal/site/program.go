package site

import (
	"crypto/tls"
	"maps"
	"slices"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/token"
	"github.com/mtlsguard/mtlsguard/internal/upstream"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/source"
)

// Program is what the program provides in place of files. Nothing is known about it here: no
// mapping, no rule, and no end of a certificate. The zero value provides nothing.
type Program struct {
	Map          certmap.Mapper                                                  // nil: the table of users
	Policy       policy.Decider                                                  // nil: the policy file
	Certificates map[string]func(*tls.ClientHelloInfo) (*tls.Certificate, error) // by port
	Source       bool                                                            // the program gives the source
	AnySource    bool                                                            // the file may have any source, or none
	Generation   *source.Generation                                              // that is mounted; nil: none
	// Editor is set on a machine that is not the node: certificates and keys of ports are not read,
	// and signatures are not checked.
	Editor bool
	// Tokens signs headers of upstreams; nil: the configuration is not served.
	Tokens *token.Signer
	// They are called as package upstream documents. nil reports nothing.
	OnUpstreamFailure func(upstream.Failure)
	OnUpstreamHealth  func(port, url string, err error)
}

func (p *Program) forConfig() config.Program {
	return config.Program{Map: p.Map != nil, Policy: p.Policy != nil, Source: p.Source, AnySource: p.AnySource, Editor: p.Editor, Certificates: slices.Collect(maps.Keys(p.Certificates))}
}

// mapper returns the mapper of a generation.
func (p *Program) mapper(g *Generation) certmap.Mapper {
	if p.Map != nil {
		return p.Map
	}
	return g.Table
}

// decider returns the policy of a generation.
func (p *Program) decider(g *Generation) policy.Decider {
	if p.Policy != nil {
		return p.Policy
	}
	return g.Engine
}

// AddCertificate completes the configuration of a port whose certificate the program provides.
// Such a port answers the challenge tls-alpn-01 of ACME: the function may come from a client of
// ACME, and another one loses nothing.
func (p *Program) AddCertificate(c *ports.Config) {
	if certificate := p.Certificates[c.Name]; certificate != nil {
		c.Certificate, c.TLS = certificate, &tls.Config{NextProtos: []string{"acme-tls/1"}}
	}
}
