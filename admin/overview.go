package admin

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// overviewView is the first screen: is anything wrong, and what ends next?
type overviewView struct {
	Needs   []need
	Ports   []livePort
	Hour    chart
	Refused []Refused
}

// need is something that needs a person, or will.
type need struct {
	What string
	At   time.Time // when it ends; zero: now
	Link string
}

// endsWithin is how early the overview lists what ends.
const endsWithin = 30 * 24 * time.Hour

func (c *call) overview() (any, error) {
	v := &overviewView{
		Hour:    newChart("Refusals for each minute of the last hour", c.page.minutes.report(c.now, 60, 1)),
		Refused: c.page.mostRefused(c.now.Add(-time.Hour), 10),
	}
	status := c.server.Status()
	for _, p := range status.Ports {
		l := livePort{Name: p.Name, Connections: p.Connections, Allowed: p.Allowed, Failed: p.Failed}
		for _, n := range p.Refused {
			l.Refused += n
		}
		for _, n := range p.Handshakes {
			l.Handshakes += n
		}
		v.Ports = append(v.Ports, l)
	}
	v.Needs = c.needs()
	return v, nil
}

// needs returns what needs somebody, most urgent first.
func (c *call) needs() []need {
	var out []need
	ends := func(what string, at time.Time, link string) {
		if !at.IsZero() && at.Sub(c.now) < endsWithin {
			out = append(out, need{what, at, link})
		}
	}
	for _, p := range c.server.Inventory().Ports {
		ends(fmt.Sprintf("port %s: the server certificate ends", p.Name), p.CertificateNotAfter, "/ports/"+p.Name)
		for _, a := range p.Anchors {
			ends(fmt.Sprintf("port %s: the trust anchor %s… ends", p.Name, shortDigest(a.Fingerprint.String())), a.NotAfter, "/trust")
		}
		ends(fmt.Sprintf("port %s: a CRL is past its next update", p.Name), p.FreshUntil, "/trust")
	}
	slices.SortStableFunc(out, func(a, b need) int { return cmp.Compare(a.At.Unix(), b.At.Unix()) })
	return out
}
