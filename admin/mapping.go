package admin

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/trust"
)

// apiMapping is a mapping as the API lists it: as users list --json, and what the page knows of its
// use.
type apiMapping struct {
	useredit.Mapping
	InForce bool `json:"in_force"` // not disabled, and within its dates
	// CertificateNotAfter is the end of the certificate, for a mapping of one certificate: that of
	// Config.Certificates, or the one that was used last.
	CertificateNotAfter string       `json:"certificate_not_after,omitempty"`
	KnownFrom           string       `json:"known_from,omitempty"` // seen or kept
	LastSeen            *apiLastSeen `json:"last_seen,omitempty"`  // since the start of the program
	FirstSeen           string       `json:"first_seen,omitempty"` // since the start of the program
	Number              uint64       `json:"number"`               // its place, from 1, for after
}

// apiLastSeen is the last use of a mapping.
type apiLastSeen struct {
	At   string `json:"at"`
	Port string `json:"port"`
	User string `json:"user,omitempty"` // of a pattern
}

// mappingFilter selects mappings by the query.
type mappingFilter struct {
	User, ID, State string
	Days            uint64
	port            string
	limit, after    uint64
}

// The states by which mappings are selected.
var mappingStates = []string{"in-force", "disabled", "out-of-time", "never-seen", "seen"}

func (c *call) mappingFilter() (f mappingFilter, err error) {
	q := c.URL.Query()
	f = mappingFilter{User: q.Get("user"), ID: q.Get("id"), State: q.Get("state"), port: q.Get("port")}
	if f.State != "" && !slices.Contains(mappingStates, f.State) {
		return f, invalid("state: "+escape.Quote(f.State, escape.Short)+" is not a state", "one of "+strings.Join(mappingStates, ", "))
	}
	if f.Days, err = c.number("days", 1, 36_500, 0); err != nil {
		return f, err
	}
	if f.limit, err = c.number("limit", 1, maxLimit, defaultLimit); err != nil {
		return f, err
	}
	f.after, err = c.number("after", 1, 1<<63, 0)
	return f, err
}

// mayMatch reports whether the filter may select a mapping: it is quick, for large tables.
func (f *mappingFilter) mayMatch(m *certmap.Mapping) bool {
	return (f.ID == "" || m.ID == f.ID) && (f.port == "" || slices.Contains(m.Ports, f.port)) &&
		(f.User == "" || m.User == f.User || strings.Contains(m.User, "{"))
}

// matches reports whether the filter selects a mapping that mayMatch lets through.
func (f *mappingFilter) matches(m *apiMapping, now time.Time) bool {
	if f.User != "" && m.User != f.User && (m.LastSeen == nil || m.LastSeen.User != f.User) {
		return false
	}
	if f.Days > 0 {
		within := now.Add(time.Duration(f.Days) * 24 * time.Hour)
		if !before(m.NotAfter, within) && !before(m.CertificateNotAfter, within) {
			return false
		}
	}
	switch f.State {
	case "in-force":
		return m.InForce
	case "disabled":
		return m.Disabled
	case "out-of-time":
		return !m.InForce && !m.Disabled
	case "never-seen":
		return m.LastSeen == nil
	case "seen":
		return m.LastSeen != nil
	}
	return true
}

// before reports whether a time of a report is before another time. Absent is never.
func before(text string, t time.Time) bool {
	at, err := time.Parse(time.RFC3339, text)
	return err == nil && at.Before(t)
}

// mappings returns the mappings that a filter selects, in the order of the table, and whether
// there are more.
func (c *call) mappings(f *mappingFilter) (out []apiMapping, more bool) {
	out = []apiMapping{}
	n := uint64(0)
	for m := range c.server.Mappings() {
		if n++; n <= f.after || !f.mayMatch(&m) {
			continue
		}
		x := c.newMapping(&m, n)
		if !f.matches(&x, c.now) {
			continue
		}
		if uint64(len(out)) == f.limit {
			return out, true
		}
		out = append(out, x)
	}
	return out, false
}

func (c *call) newMapping(m *certmap.Mapping, number uint64) apiMapping {
	out := apiMapping{Mapping: useredit.NewMapping(*m), Number: number}
	out.InForce = !m.Disabled && !c.now.Before(m.NotBefore) && (m.NotAfter.IsZero() || !c.now.After(m.NotAfter))
	last, first, ok := c.page.seen.of(m.ID)
	if ok {
		out.FirstSeen = report.Time(first)
		out.LastSeen = &apiLastSeen{At: optionalTime(last.time()), Port: last.port}
		if m.User != last.user {
			out.LastSeen.User = last.user
		}
	}
	if kept := c.page.known[keptKey{out.Kind, out.Value}]; kept != nil {
		out.CertificateNotAfter, out.KnownFrom = optionalTime(kept.NotAfter), "kept"
	} else if ok && m.User == last.user && last.notAfter != 0 {
		out.CertificateNotAfter, out.KnownFrom = optionalTime(time.Unix(last.notAfter, 0)), "seen"
	}
	return out
}

// keptKey finds a certificate by what a mapping of one certificate names.
type keptKey struct {
	kind  string
	value string
}

// keepCertificates returns the certificates of the Config by fingerprint, key and serial number.
// Of two with one key the one that ends later counts.
func keepCertificates(all []*x509.Certificate) map[keptKey]*x509.Certificate {
	out := map[keptKey]*x509.Certificate{}
	for _, c := range all {
		for _, k := range []keptKey{
			{"fingerprint", trust.FingerprintOf(c).String()}, {"spki", trust.SPKIOf(c).String()}, {"serial", strings.ToUpper(c.SerialNumber.Text(16))},
		} {
			if old := out[k]; old == nil || old.NotAfter.Before(c.NotAfter) {
				out[k] = c
			}
		}
	}
	return out
}

// listMappings answers with mappings. after is the number of the last one on the page before.
func (c *call) listMappings() (any, error) {
	f, err := c.mappingFilter()
	if err != nil {
		return nil, err
	}
	c.setUsersETag()
	out, _ := c.mappings(&f)
	return out, nil
}

// mapping answers with the mapping that the path names.
func (c *call) mapping() (any, error) {
	id := c.mappingID()
	c.setUsersETag()
	if out, _ := c.mappings(&mappingFilter{ID: id, limit: 1}); len(out) == 1 {
		return out[0], nil
	}
	return nil, notFound(fmt.Sprintf("there is no mapping %s", escape.Quote(id, escape.Short)), "/api/v1/mappings lists them")
}
