package mtlsguard

import (
	"cmp"
	"crypto/x509"
	"iter"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
	"github.com/mtlsguard/mtlsguard/trust/ocsp"
)

// Inventory lists the certificates, anchors, CRLs and files of the current configuration,
// and when they end: for metrics and alarms. It holds nothing about callers.
type Inventory struct {
	At    time.Time       // now, by the clock of the options
	Ports []PortInventory // in the order of the file; the tunnels to gateways come last, as one
	Files []FileInventory // sorted by name
}

// PortInventory describes the certificates and CRLs of one port.
type PortInventory struct {
	Name                string
	CertificateNotAfter time.Time // the earliest end of the server certificate and the intermediates that it is presented with; zero with Options.Certificates
	// Anchors holds the trust anchors for clients, gateways and forwarded certificates,
	// each once, ordered by their end.
	Anchors    []AnchorInventory
	FreshUntil time.Time // as in PortStatus
}

// AnchorInventory describes one trust anchor. It has no name: an anchor may be a client's
// own certificate.
type AnchorInventory struct {
	Fingerprint trust.Digest
	NotAfter    time.Time
}

// FileInventory describes one file of the current configuration.
type FileInventory struct {
	Path       string    // as it was opened
	Name       string    // relative to the folder of mtlsguard.yaml, with slashes; Path for files outside
	Since      time.Time // when its content took effect
	Generation uint64    // the generation with which its content took effect
}

// Inventory returns the inventory of the current configuration. It takes locks: do not call
// it for every request.
func (s *Server) Inventory() Inventory {
	s.mu.Lock()
	current, files := s.current, s.files // a reload replaces both, and changes neither
	s.mu.Unlock()
	out := Inventory{At: s.options.now()}
	for _, p := range current.AllPorts() {
		out.Ports = append(out.Ports, inventoryOf(&p))
	}
	for path, state := range files {
		out.Files = append(out.Files, FileInventory{Path: path, Name: s.relative(path), Since: state.since, Generation: state.generation})
	}
	slices.SortFunc(out.Files, func(a, b FileInventory) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Path, b.Path))
	})
	return out
}

func inventoryOf(p *site.Port) PortInventory {
	out := PortInventory{Name: p.Config.Name, FreshUntil: p.FreshUntil()}
	if certificate := p.Config.Certificate; certificate != nil {
		if pair, err := certificate(nil); err == nil { // package site made it: it does not use the hello
			out.CertificateNotAfter = site.ChainNotAfter(pair)
		}
	}
	seen := map[trust.Digest]bool{}
	for _, t := range p.Trusts() {
		for _, a := range t.Verifier.Anchors() {
			if print := trust.FingerprintOf(a); !seen[print] {
				seen[print] = true
				out.Anchors = append(out.Anchors, AnchorInventory{print, a.NotAfter})
			}
		}
	}
	slices.SortStableFunc(out.Anchors, func(a, b AnchorInventory) int { return a.NotAfter.Compare(b.NotAfter) })
	return out
}

// relative returns a path relative to the folder of mtlsguard.yaml, with slashes. It returns
// other paths as they are.
func (s *Server) relative(path string) string {
	name, err := filepath.Rel(filepath.Dir(s.path), path)
	if err != nil || !filepath.IsLocal(name) {
		return path
	}
	return filepath.ToSlash(name)
}

// PortInfo describes a port: its settings in effect, and whether it is open. It has no
// counters: see PortStatus. The certificates in it must not be modified.
type PortInfo struct {
	Name        string
	Listen      string           // as in the file; empty for the tunnels to gateways
	Addr        net.Addr         // on which it was opened last; nil: it has not been opened
	Open        bool             // it accepts connections
	Draining    bool             // it accepts none any more, and connections are left
	ClientAuth  ports.ClientAuth // None, Request or Require
	Strict      bool
	Unmapped    string // the user for verified certificates that no mapping matches; empty refuses them
	MinVersion  uint16 // of TLS, such as tls.VersionTLS12; 0 for the tunnels to gateways
	Methods     []string
	ServerNames []string     // empty: any
	Limits      ports.Limits // in effect; zero for the tunnels to gateways
	// LimitsInFile are those that mtlsguard.yaml sets. 0 in a field means that the default is in
	// effect.
	LimitsInFile ports.Limits
	Registration bool // servers register here: it has no users
	Tunnel       bool // its requests go on through a tunnel, or come through the tunnels to gateways
	Gateways     *GatewayInfo
	// Certificate is what the port presents, leaf first; nil with Options.Certificates.
	Certificate []*x509.Certificate
	Trusts      []TrustInfo // nil: the port requests no certificate
}

// GatewayInfo describes the gateways that may forward certificates.
type GatewayInfo struct {
	Format  string   // of the headers; empty for gateways that this server dials
	Headers []string // that are read
	Names   []string // DNS names and URIs of the gateways' certificates
	Pins    []trust.Digest
	Addrs   []string // that this server dials
}

// TrustInfo describes what verifies certificates on a port.
type TrustInfo struct {
	Verifies   string // what: connections, gateways, or forwarded certificates
	Profile    trust.Profile
	Revocation trust.Revocation // in effect: never RevocationAuto
	Responder  string           // URL of the OCSP responder; empty: none is set
	OCSP       *ocsp.Stats      // queries to the OCSP responder; nil without one
	FreshUntil time.Time        // the earliest next update of the CRLs that are needed; zero if none is
	Anchors    []AnchorInfo
	CRLs       []CRLInfo
}

// AnchorInfo describes one trust anchor.
type AnchorInfo struct {
	Certificate *x509.Certificate
	File        string
}

// CRLInfo describes a revocation list, its file, and how the file is renewed.
type CRLInfo struct {
	trust.CRLInfo
	File        string
	URL         string    // from which the file is renewed; empty: it is not fetched, and the fields below are empty
	LastFetched time.Time // zero: not since the start
	NextFetch   time.Time // zero: Run or Serve has not begun
	FetchError  string    // of the last try; empty if it succeeded
}

// PortInfos describes the ports in the order of the file. The tunnels to gateways come last, as
// one. It takes locks: do not call it for every request.
func (s *Server) PortInfos() []PortInfo {
	fetcher := s.fetcher.Load()
	var out []PortInfo
	for i, p := range s.currentGeneration().AllPorts() {
		info := portInfoOf(&p, fetcher)
		if i < len(s.ports) {
			addOpen(&info, s.ports[i])
		}
		out = append(out, info)
	}
	return out
}

// portInfoOf describes a port of a generation.
func portInfoOf(p *site.Port, fetcher *crlfetch.Fetcher) PortInfo {
	out := PortInfo{
		Name: p.Config.Name, Listen: p.Config.Addr, ClientAuth: p.Config.ClientAuth, Strict: p.Guard.Fallback == middleware.Strict, Unmapped: p.Guard.Unmapped,
		MinVersion: p.Config.MinVersion, Methods: slices.Clone(p.Guard.Methods), ServerNames: slices.Clone(p.Guard.ServerNames), LimitsInFile: p.LimitsInFile,
		Registration: p.Registration != nil, Tunnel: p.Tunnel != nil || p.Config.Addr == "",
	}
	if g := p.Gateways; g != nil {
		out.Gateways = &GatewayInfo{g.Format, slices.Clone(g.Headers), slices.Clone(g.Names), slices.Clone(g.Pins), slices.Clone(g.Addrs)}
	}
	if certificate := p.Config.Certificate; certificate != nil {
		if pair, err := certificate(nil); err == nil { // package site made it: it does not use the hello
			out.Certificate = site.Chain(pair)
		}
	}
	for _, t := range p.Trusts() {
		out.Trusts = append(out.Trusts, trustInfoOf(p, t, fetcher))
	}
	return out
}

func trustInfoOf(p *site.Port, t *site.Trust, fetcher *crlfetch.Fetcher) TrustInfo {
	out := TrustInfo{
		Verifies: p.Verifies(t), Profile: t.Profile(), Revocation: trustaccess.Revocation(t.Verifier), Responder: t.ResponderURL(), OCSP: t.ResponderStats(),
		FreshUntil: trustaccess.CRLsFreshUntil(t.Verifier),
	}
	for _, a := range t.Verifier.Anchors() {
		out.Anchors = append(out.Anchors, AnchorInfo{a, t.AnchorFile(a)})
	}
	for _, c := range t.CRLs() {
		crl := CRLInfo{CRLInfo: c.CRLInfo, File: c.File, URL: c.URL}
		if c.URL != "" && fetcher != nil {
			progress := fetcher.Progress(c.File)
			crl.LastFetched, crl.NextFetch = progress.LastSuccess, progress.NextTry
			if progress.LastError != nil {
				crl.FetchError = progress.LastError.Error()
			}
		}
		out.CRLs = append(out.CRLs, crl)
	}
	return out
}

// addOpen adds the state of the open port.
func addOpen(out *PortInfo, p *ports.Port) {
	out.Addr, out.Open, out.Limits = p.Addr(), p.Listening(), p.Config().Limits
	out.Draining = out.Addr != nil && !out.Open && p.ConnCount() > 0
}

// Mappings returns the mappings in effect, in the order of the table. There may be a million:
// a caller stops when it has enough. With Options.Map there are none.
func (s *Server) Mappings() iter.Seq[certmap.Mapping] {
	if s.options.Map != nil {
		return func(func(certmap.Mapping) bool) {}
	}
	return s.currentGeneration().Table.All()
}
