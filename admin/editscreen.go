package admin

import (
	"cmp"
	"net/http"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
)

// editScreen makes the change of a form on the screen of a mapping, and goes back to it.
func (c *call) editScreen() (any, error) {
	f, err := c.readForm()
	if err != nil {
		return nil, err
	}
	id, change, back := c.mappingID(), useredit.Set{}, ""
	change.IDs = []string{id}
	switch f.value("what") {
	case "disable", "enable":
		change.Disabled = new(f.value("what") == "disable")
	case "end":
		end, err := endOfDay(f.value("last_day"))
		if err != nil {
			return nil, err
		}
		change.NotAfter = &end
	case "end-now":
		change.NotAfter = new(report.Time(c.now))
		back = f.value("back")
	default:
		return nil, invalid("the form is not one of this page", "open the mapping again")
	}
	if _, err := c.set(change, proposal{match: f.value("etag")}); err != nil {
		return nil, err
	}
	c.goTo(mappingPath(cmp.Or(back, id)))
	return nil, nil
}

// goTo sends a browser to another screen after a change.
func (c *call) goTo(path string) { http.Redirect(c.w, c.Request, path, http.StatusSeeOther) }

// endOfDay returns the end of a mapping whose last day is a date; "" has none.
func endOfDay(date string) (string, error) {
	if date == "" {
		return "", nil
	}
	if _, err := time.Parse(time.DateOnly, date); err != nil {
		return "", invalid("last day: "+escape.Quote(date, escape.Short)+" is not a date", "such as 2026-12-31; empty removes the end")
	}
	return date + "T23:59:59Z", nil // a date alone would end as that day begins
}

// lastDayOf returns the last day, in UTC, of a mapping that ends at a time of a report; "" for none.
func lastDayOf(notAfter string) string {
	at := timeOf(notAfter)
	if at.IsZero() {
		return ""
	}
	return at.Add(-time.Nanosecond).UTC().Format(time.DateOnly)
}

// rotationView is the screen that shows a rotation before it is confirmed.
type rotationView struct {
	Old        apiMapping
	Kinds      []string
	By, Value  string
	LastDay    string
	Note, ETag string
	PEM        string // of the next certificate
	Next       *report.Inspection
	Proposed   *apiEdited
	Failure    *failure
}

func (v *rotationView) failed() *failure { return v.Failure }

// rotateScreen shows what a rotation would change, or makes it once it is confirmed.
func (c *call) rotateScreen() (any, error) {
	f, err := c.readForm()
	if err != nil {
		return nil, err
	}
	old, err := c.mapping()
	if err != nil {
		return nil, err
	}
	confirmed := f.value("confirmed") == "1"
	c.dryRun = !confirmed
	m := old.(apiMapping)
	v := &rotationView{Old: m, Kinds: useredit.Kinds, By: f.value("by"), Value: f.value("value"), LastDay: f.value("last_day"), Note: f.value("note"), ETag: f.value("etag")}
	body := renewal{Certificate: f.certificate, By: v.By, Value: v.Value}
	v.LastDay = cmp.Or(v.LastDay, lastDayOf(c.defaultEnd(&m)))
	if body.EndOld, err = endOfDay(v.LastDay); err != nil {
		return nil, err
	}
	v.Next, v.PEM = describeUpload(f.certificate, c.now)
	v.Proposed, err = c.rotate(&body, proposal{match: v.ETag, dryRun: !confirmed})
	switch {
	case err != nil:
		v.Failure = asFailure(err)
		v.ETag = cmp.Or(c.w.Header().Get("ETag"), v.ETag)
	case confirmed:
		c.goTo(mappingPath(m.ID))
		return nil, nil
	}
	return v, nil
}

// describeUpload returns the description of an uploaded certificate, and its chain as PEM. They
// are empty if it is none.
func describeUpload(text string, now time.Time) (*report.Inspection, string) {
	chain, err := readCertificates([]byte(text))
	if err != nil {
		return nil, ""
	}
	return report.Inspect(chain[0], now), formatChain(chain)
}
