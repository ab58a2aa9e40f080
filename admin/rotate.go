package admin

import (
	"cmp"
	"fmt"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
)

// renewal is the body of POST /api/v1/mappings/{id}/rotate.
type renewal struct {
	Certificate string `json:"certificate_pem"` // the next one
	By          string `json:"by"`              // the kind of its mapping; absent: that of the old one
	Value       string `json:"value"`
	ID          string `json:"id"`      // of its mapping; absent: the user and a year
	EndOld      string `json:"end_old"` // absent: see defaultEnd
}

// How long both mappings of a rotation are needed.
const (
	overlap   = 30 * 24 * time.Hour // if the end of the old certificate is not known
	longQuiet = 7 * 24 * time.Hour  // an old mapping that was not used for so long is not needed
)

// rotateMapping adds a mapping of the next certificate, and ends the one that the path names.
func (c *call) rotateMapping() (any, error) {
	var body renewal
	if err := c.readJSON(&body); err != nil {
		return nil, err
	}
	return c.rotate(&body, c.proposal())
}

func (c *call) rotate(body *renewal, p proposal) (*apiEdited, error) {
	id := c.mappingID()
	c.what = "rotate mapping " + id
	var err error
	if p.chain, err = readCertificates([]byte(body.Certificate)); err != nil {
		return nil, err
	}
	if body.By != "" {
		if err := checkKind(body.By); err != nil {
			return nil, err
		}
	}
	old, err := c.mapping()
	if err != nil {
		return nil, err
	}
	m := old.(apiMapping)
	change := useredit.Rotate{ID: id, NewID: body.ID, By: body.By, Value: body.Value, EndOld: cmp.Or(body.EndOld, c.defaultEnd(&m))}
	c.what += ", its end: " + change.EndOld
	out, err := c.edit(p, func(f *useredit.File) (*useredit.Change, error) {
		return change.Change(c.Context(), f, c.page.config.Now, p.chain)
	})
	if err != nil {
		return nil, err
	}
	for _, m := range out.Added {
		if m.ID != id {
			c.what += ", the next: " + describe(&m)
		}
	}
	for _, o := range out.Outcomes {
		if before := o.Before.User; before != "" && before != m.User {
			out.Warnings = append(out.Warnings, fmt.Sprintf("on port %s this certificate was user %s until now, by mapping %s", o.Port, before, cmp.Or(o.Before.Mapping, "none")))
		}
	}
	return out, nil
}

// defaultEnd returns when the old mapping of a rotation ends: with its certificate, if the page
// knows that, or after 30 days; never later than it ends already.
func (c *call) defaultEnd(m *apiMapping) string {
	end := c.now.Add(overlap)
	if at, err := time.Parse(time.RFC3339, m.CertificateNotAfter); err == nil && at.After(c.now) {
		end = at
	}
	if before(m.NotAfter, end) {
		return m.NotAfter
	}
	return report.Time(end)
}

// rotation is an old mapping that ends, and one of the same user that stays.
type rotation struct {
	Old, New apiMapping
	MayEnd   bool // the old one is not needed any more, as far as the page has seen
}

// maxRotations bounds those that are shown.
const maxRotations = 10

// rotations returns the rotations of which a mapping is one half.
func (c *call) rotations(m *apiMapping, others []apiMapping) (out []rotation) {
	add := func(old, next *apiMapping) {
		if old.NotAfter != "" && old.InForce && next.InForce && old.User == next.User && useredit.CoversPorts(next.Mapping, old.Mapping) &&
			(next.NotAfter == "" || before(old.NotAfter, timeOf(next.NotAfter))) && len(out) < maxRotations {
			out = append(out, rotation{*old, *next, next.LastSeen != nil && c.isQuiet(old)})
		}
	}
	for i := range others {
		add(m, &others[i])
		add(&others[i], m)
	}
	return out
}

// isQuiet reports whether a mapping was certainly not used for a week: the page has looked for as
// long.
func (c *call) isQuiet(m *apiMapping) bool {
	since := c.now.Add(-longQuiet)
	return !c.page.began.After(since) && (m.LastSeen == nil || before(m.LastSeen.At, since))
}

// timeOf reads a time of a report; the zero time if it is none.
func timeOf(text string) time.Time {
	t, _ := time.Parse(time.RFC3339, text)
	return t
}
