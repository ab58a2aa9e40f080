package admin

import (
	"cmp"
	"slices"

	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/reason"
)

// newMappingPath is the screen that adds a mapping. It is not below /mappings: an id may have any
// name.
const newMappingPath = "/new-mapping"

// newMappingView is the screen that adds a mapping: a form, and once there is a certificate what
// the change would be.
type newMappingView struct {
	Ports     []string
	Kinds     []string
	Form      addition
	FirstDay  string
	LastDay   string
	Note      string
	Reference string // of the refusal whose certificate it is
	ETag      string
	MayAdd    bool
	PEM       string
	Upload    *report.Inspection
	Proposed  *apiEdited
	Failure   *failure
}

func (v *newMappingView) failed() *failure { return v.Failure }

// newMappingScreen shows the form, filled with the certificate of a refusal if a link names one.
func (c *call) newMappingScreen() (any, error) {
	v := c.newMappingView()
	q := c.URL.Query()
	v.Reference, v.Form.User, v.Form.By = q.Get("reference"), q.Get("user"), q.Get("by")
	if v.Reference == "" {
		return v, nil
	}
	r, err := c.findRefusal(v.Reference)
	if err != nil {
		return nil, err
	}
	v.fill(c, formatChain(r.certificates()))
	return v, nil
}

func (c *call) newMappingView() *newMappingView {
	v := &newMappingView{Ports: c.portNames(), Kinds: useredit.Kinds, MayAdd: c.mayPost(newMappingPath)}
	if v.MayAdd {
		v.ETag = c.usersETag()
	}
	return v
}

// fill fills the form with a certificate, and proposes a user and a kind.
func (v *newMappingView) fill(c *call, text string) {
	v.Upload, v.PEM = describeUpload(text, c.now)
	if v.Upload == nil {
		return
	}
	if v.Form.User == "" {
		chain, _ := readCertificates([]byte(text)) // it has succeeded above
		v.Form.User = report.UserFromCommonName(chain[0])
	}
	v.Form.By = cmp.Or(v.Form.By, "fingerprint")
}

// addScreen shows what the form would add, or adds it once it is confirmed.
func (c *call) addScreen() (any, error) {
	f, err := c.readForm()
	if err != nil {
		return nil, err
	}
	step := f.value("step")
	c.dryRun = step != "add"
	v := c.newMappingView()
	v.Reference, v.Note = f.value("reference"), f.value("note")
	v.ETag, v.FirstDay, v.LastDay = cmp.Or(f.value("etag"), v.ETag), f.value("first_day"), f.value("last_day")
	v.Form = addition{User: f.value("user"), Certificate: f.certificate, By: f.value("by"), Value: f.value("value"), ID: f.value("id"), NotBefore: v.FirstDay}
	v.Form.Ports = slices.DeleteFunc(slices.Clone(f.values["ports"]), func(p string) bool { return p == "" })
	if len(v.Form.Ports) == 0 {
		v.Form.Ports = nil // all
	}
	v.fill(c, f.certificate)
	if step == "certificate" {
		return v, nil
	}
	if v.Form.NotAfter, err = endOfDay(v.LastDay); err == nil {
		v.Proposed, err = c.add(&v.Form, proposal{match: v.ETag, dryRun: c.dryRun})
	}
	switch {
	case err != nil:
		v.Failure = asFailure(err)
		v.ETag = cmp.Or(c.w.Header().Get("ETag"), v.ETag)
	case !c.dryRun:
		c.goTo(mappingPath(v.Proposed.Added[0].ID))
		return nil, nil
	}
	return v, nil
}

// makeUser leads from a certificate without a user to the screen that adds a mapping.
type makeUser struct{ Reference, PEM string } // one of them

// offersMapping reports whether the caller may make the certificate of an explanation a user:
// no mapping matches it, not even a disabled one.
func (c *call) offersMapping(x *apiExplained) bool {
	return x.Reason == reason.Unmapped && x.Inspection != nil && !x.isDisabled() && c.mayEdit(newMappingPath)
}
