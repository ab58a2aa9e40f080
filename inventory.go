package mtlsguard

import (
	"crypto/sha256"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Inventory is what a Server has in force, and how long it lasts: for metrics and
// alarms. It speaks of the configuration and of nobody who calls.
type Inventory struct {
	At    time.Time       // by the clock that certificates are judged by
	Ports []PortInventory // the tunnels of reverse, as one, come last
	Files []FileInventory // sorted by name
}

// PortInventory is what one port shows and believes.
type PortInventory struct {
	Name                string
	CertificateNotAfter time.Time // the end of the certificate that it shows
	// Anchors are those of its clients, and where there are gateways theirs and those of
	// their users: each once, the first to end first.
	Anchors    []AnchorInventory
	FreshUntil time.Time // the earliest next update of the CRLs that are needed, as in PortStatus; zero where none is
}

// AnchorInventory is one anchor. It has no name: an anchor may also be a client's own
// certificate.
type AnchorInventory struct {
	Fingerprint trust.Digest
	NotAfter    time.Time
}

// FileInventory is one file that the configuration in force was read from.
type FileInventory struct {
	Path       string    // as it was opened
	Name       string    // below the folder of mtlsguard.yaml, with slashes; the same as Path for other files
	Since      time.Time // when what it says came into force
	Generation uint64    // the configuration that it came into force with
}

// Inventory tells what is in force. Like Status it is not for every request.
func (s *Server) Inventory() Inventory {
	s.mu.Lock()
	current, arrived := s.current, s.arrived // both are replaced, and never changed
	s.mu.Unlock()
	out := Inventory{At: s.options.now()}
	for _, p := range current.AllPorts() {
		out.Ports = append(out.Ports, inventoryOf(&p))
	}
	for _, path := range slices.Sorted(maps.Keys(arrived)) {
		a := arrived[path]
		out.Files = append(out.Files, FileInventory{Path: path, Name: s.below(path), Since: a.since, Generation: a.generation})
	}
	slices.SortFunc(out.Files, func(a, b FileInventory) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func inventoryOf(p *site.Port) PortInventory {
	out := PortInventory{Name: p.Config.Name, FreshUntil: p.FreshUntil()}
	if show := p.Config.Certificate; show != nil {
		if pair, err := show(nil); err == nil { // the loader's own: it asks for no hello
			out.CertificateNotAfter = pair.Leaf.NotAfter
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

// below is a file's name as seen from mtlsguard.yaml.
func (s *Server) below(path string) string {
	name, err := filepath.Rel(filepath.Dir(s.path), path)
	if err != nil || !filepath.IsLocal(name) {
		return path
	}
	return filepath.ToSlash(name)
}

// arrival is when what a file says came into force.
type arrival struct {
	digest     [sha256.Size]byte
	since      time.Time
	generation uint64
}

// arrivals are those of the files of a generation that comes into force now. A file
// that says what it said before has been there. Folders, and what could not be read,
// are no files.
func arrivals(f *fileset.Reader, before map[string]arrival, now time.Time, generation uint64) map[string]arrival {
	out := make(map[string]arrival, len(f.Read))
	for path, c := range f.Read {
		if c.Err != nil {
			continue
		}
		a, ok := before[path]
		if !ok || a.digest != c.Digest {
			a = arrival{c.Digest, now, generation}
		}
		out[path] = a
	}
	return out
}
