package admin

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/trust"
)

// overviewView is the first screen: is anything wrong, and what ends next?
type overviewView struct {
	Needs   []need
	Omitted int  // needs that are not shown
	Lint    *int // the number of findings, if they are known
	Ports   []livePort
	Hour    chart
	Refused []apiRefused
}

// need is something that needs a person, or will.
type need struct {
	What string
	At   time.Time // when it ends; zero: now
	Link string
}

// Bounds of the overview.
const (
	endsWithin  = 30 * 24 * time.Hour // how early it lists what ends, as lint does
	maxNeeds    = 50
	maxMappings = 100_000 // that are looked at
	nearlyFull  = 80      // percent of the connections of a port
)

func (c *call) overview() (any, error) {
	status := c.server.Status()
	v := &overviewView{
		Ports: newLivePorts(&status), Lint: c.page.linted.count(status.Generation),
		Hour:    newChart("Refusals for each minute of the last hour", c.page.minutes.report(c.now, 60, 1)),
		Refused: c.page.mostRefused(c.now.Add(-time.Hour), 10),
	}
	v.Needs = c.needs(&status)
	if more := len(v.Needs) - maxNeeds; more > 0 {
		v.Needs, v.Omitted = v.Needs[:maxNeeds], more
	}
	return v, nil
}

// needs returns what needs attention, most urgent first.
func (c *call) needs(status *mtlsguard.Status) []need {
	var out []need
	counts := map[string]int{}
	for _, p := range status.Ports {
		counts[p.Name] = p.Connections
	}
	seen := map[trust.Digest]bool{} // several ports share anchors and lists
	certificate := func(what, link string, x *x509.Certificate) {
		if print := trust.FingerprintOf(x); !seen[print] && c.endsSoon(x.NotBefore, x.NotAfter, 5) {
			seen[print] = true
			out = append(out, need{what + " " + report.Subject(x), x.NotAfter, link})
		}
	}
	for _, p := range c.server.PortInfos() {
		link := "/ports/" + p.Name
		if n := counts[p.Name]; p.Limits.Connections > 0 && n*100 >= p.Limits.Connections*nearlyFull {
			out = append(out, need{What: fmt.Sprintf("port %s has %d of %d connections", p.Name, n, p.Limits.Connections), Link: link})
		}
		for _, x := range p.Certificate {
			certificate("port "+p.Name+": server certificate", link, x)
		}
		for _, t := range p.Trusts {
			for _, a := range t.Anchors {
				certificate("port "+p.Name+": trust anchor", "/trust", a.Certificate)
			}
			for _, l := range t.CRLs {
				if !l.Replaced && !l.Until.IsZero() && c.endsSoon(l.ThisUpdate, l.Until, 10) {
					out = append(out, need{fmt.Sprintf("port %s: CRL of %s needs its next update", p.Name, escape.Printable(l.Issuer, 0)), l.Until, "/trust"})
				}
				if l.FetchError != "" {
					out = append(out, need{What: fmt.Sprintf("port %s: CRL of %s cannot be fetched: %s", p.Name, escape.Printable(l.Issuer, 0), escape.Printable(l.FetchError, maxDetail)), Link: "/trust"})
				}
			}
		}
	}
	out = append(out, c.mappingNeeds()...)
	slices.SortStableFunc(out, func(a, b need) int { return a.At.Compare(b.At) })
	return slices.CompactFunc(out, func(a, b need) bool { return a == b })
}

// endsSoon reports whether something ends within 30 days, or within a part of its lifetime if
// that is shorter.
func (c *call) endsSoon(begins, ends time.Time, part int) bool {
	return ends.Sub(c.now) < min(endsWithin, ends.Sub(begins)/time.Duration(part))
}

// mappingNeeds returns the mappings that end soon, or whose certificate does. One that ended long
// ago needs no attention any more.
func (c *call) mappingNeeds() []need {
	var out []need
	called := c.page.disabledCalls(c.now.Add(-24 * time.Hour))
	n := uint64(0)
	for m := range c.server.Mappings() {
		if n++; n > maxMappings {
			break
		}
		soon := func(at time.Time) bool {
			return !at.IsZero() && at.Sub(c.now) < endsWithin && c.now.Sub(at) < endsWithin
		}
		link := mappingPath(m.ID)
		if calls := called[clip(m.ID, maxWord)]; m.Disabled && calls > 0 {
			out = append(out, need{What: fmt.Sprintf("mapping %s of user %s is disabled and still called: refused %d times within a day", m.ID, m.User, calls), Link: link})
		}
		if !m.Disabled && soon(m.NotAfter) {
			out = append(out, need{fmt.Sprintf("mapping %s of user %s ends", m.ID, m.User), m.NotAfter, link})
		}
		if x := c.newMapping(&m, n); x.InForce && x.CertificateNotAfter != "" {
			if at, err := time.Parse(time.RFC3339, x.CertificateNotAfter); err == nil && soon(at) {
				out = append(out, need{fmt.Sprintf("the certificate of mapping %s, user %s, ends", m.ID, m.User), at, link})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b need) int { return cmp.Compare(a.At.Unix(), b.At.Unix()) })
	return out
}
