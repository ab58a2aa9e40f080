package mtlsguard

import (
	"cmp"
	"crypto/sha256"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/trust"
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

// fileState records when the content of a file took effect.
type fileState struct {
	digest     [sha256.Size]byte
	since      time.Time
	generation uint64
}

// statesOf returns the states of the files of a generation that takes effect now. A file
// with the same content as before keeps its state. Folders and unreadable files have none.
func statesOf(f *fileset.Reader, before map[string]fileState, now time.Time, generation uint64) map[string]fileState {
	out := make(map[string]fileState, len(f.Read))
	for path, c := range f.Read {
		if c.Err != nil {
			continue
		}
		state, ok := before[path]
		if !ok || state.digest != c.Digest {
			state = fileState{c.Digest, now, generation}
		}
		out[path] = state
	}
	return out
}
