package admin

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
)

// apiEdited is the answer to a change of the mappings: as users add --json, and the generation in
// which it is in effect.
type apiEdited struct {
	*useredit.Change
	// Outcomes are what an uploaded certificate is on each port, before the change and after it.
	Outcomes   []useredit.Outcome `json:"outcomes,omitempty"`
	Generation uint64             `json:"generation"`
	At         string             `json:"at"`
	ETag       string             `json:"etag"` // of the users after it
}

// addition is the body of POST /api/v1/mappings.
type addition struct {
	User        string   `json:"user"`
	Certificate string   `json:"certificate_pem"`
	By          string   `json:"by"` // the kind; absent: fingerprint
	Value       string   `json:"value"`
	ID          string   `json:"id"`
	Ports       []string `json:"ports"`
	NotBefore   string   `json:"not_before"`
	NotAfter    string   `json:"not_after"`
}

// setting is the body of PATCH /api/v1/mappings/{id}. An absent field stays as it is.
type setting struct {
	Disabled  *bool   `json:"disabled"`
	NotBefore *string `json:"not_before"`
	NotAfter  *string `json:"not_after"`
}

// addMapping adds a mapping.
func (c *call) addMapping() (any, error) {
	var body addition
	if err := c.readJSON(&body); err != nil {
		return nil, err
	}
	return c.add(&body, c.proposal())
}

// add adds a mapping of a certificate.
func (c *call) add(body *addition, p proposal) (*apiEdited, error) {
	c.what = "add a mapping of user " + body.User
	var err error
	if p.chain, err = readCertificates([]byte(body.Certificate)); err != nil {
		return nil, err
	}
	add := useredit.Add{
		Cert: "certificate_pem", User: body.User, By: cmp.Or(body.By, "fingerprint"), Value: body.Value, ID: body.ID, Ports: body.Ports, NotBefore: body.NotBefore, NotAfter: body.NotAfter,
	}
	if err := checkKind(add.By); err != nil {
		return nil, err
	}
	out, err := c.edit(p, func(f *useredit.File) (*useredit.Change, error) {
		return add.Change(c.Context(), f, c.page.config.Now, func() ([]*x509.Certificate, error) { return p.chain, nil })
	})
	if err == nil {
		c.what = "add " + describe(&out.Added[0])
	}
	return out, err
}

// describe returns a mapping for the log.
func describe(m *useredit.Mapping) string {
	return fmt.Sprintf("mapping %s of user %s, %s %s", m.ID, m.User, m.Kind, m.Value)
}

func checkKind(by string) error {
	if slices.Contains(useredit.Kinds, by) {
		return nil
	}
	return invalid("by: "+escape.Quote(by, escape.Short)+" is not a kind of mapping", "one of "+strings.Join(useredit.Kinds, ", "))
}

// setMapping disables a mapping or changes its dates.
func (c *call) setMapping() (any, error) {
	var body setting
	if err := c.readJSON(&body); err != nil {
		return nil, err
	}
	return c.set(useredit.Set{IDs: []string{c.mappingID()}, Disabled: body.Disabled, NotBefore: body.NotBefore, NotAfter: body.NotAfter}, c.proposal())
}

// set changes keys of one mapping.
func (c *call) set(change useredit.Set, p proposal) (*apiEdited, error) {
	c.what = "change mapping " + change.IDs[0]
	for _, f := range change.Fields() {
		c.what += fmt.Sprintf(", %s: %s", f.Key, cmp.Or(f.Text, "none"))
	}
	return c.edit(p, change.Change)
}

// removeMapping removes a mapping.
func (c *call) removeMapping() (any, error) {
	c.what = "remove mapping " + c.mappingID()
	remove := useredit.Remove{IDs: []string{c.mappingID()}}
	return c.edit(c.proposal(), remove.Change)
}

// proposal is how a change is asked for.
type proposal struct {
	match  string              // the ETag of the users that the editor has seen
	dryRun bool                // answer what would be
	chain  []*x509.Certificate // to answer what it is on each port; nil: none
}

// proposal returns how the request of the API asks for a change.
func (c *call) proposal() proposal {
	return proposal{match: c.ifMatch(), dryRun: c.URL.Query().Get("dry_run") == "1"}
}

// edit applies a change to the users, and waits until it is in effect. It goes through the
// loader, as the command does.
func (c *call) edit(p proposal, change func(*useredit.File) (*useredit.Change, error)) (*apiEdited, error) {
	c.dryRun = p.dryRun
	if !c.page.mayEdit() {
		return nil, &failure{Status: http.StatusForbidden, Detail: "this page does not edit", Hint: "admin: {edit: true} in mtlsguard.yaml, or Config.Edit of the program; mtlsguard users edits the files"}
	}
	w, err := c.writer()
	if err != nil {
		return nil, err
	}
	seen, err := parseETag(p.match)
	if err != nil {
		return nil, err
	}
	if err := c.checkQuery("note", "lock_me_out", "dry_run"); err != nil {
		return nil, err
	}
	if c.URL.Query().Has("dry_run") && !p.dryRun {
		return nil, invalid("a form of the page has no dry_run", "the form shows the effect of the change before it is made")
	}
	note, err := c.note()
	if err != nil {
		return nil, err
	}
	var outcomes []useredit.Outcome
	out, digest, err := w.write(c.Context(), &edit{
		author: author{c.id.User, c.id.MappingID, note}, seen: seen, dryRun: p.dryRun,
		change: func(f *useredit.File) (*useredit.Change, error) {
			out, err := change(f)
			if err != nil {
				return nil, err
			}
			if p.chain != nil {
				if outcomes, err = f.Outcomes(c.Context(), out.Edit, p.chain, c.page.config.Now); err != nil {
					return nil, err
				}
			}
			return out, c.checkLockOut(f, out)
		},
	})
	if !digest.IsZero() {
		c.w.Header().Set("ETag", formatETag(digest))
	}
	if err != nil {
		return nil, editFailure(err)
	}
	s := c.server.Status()
	return &apiEdited{Change: out, Outcomes: outcomes, Generation: s.Generation, At: report.Time(s.Since), ETag: formatETag(digest)}, nil
}

// editFailure returns the answer to an edit that the writer has refused.
func editFailure(err error) error {
	if errors.Is(err, useredit.ErrStale) {
		return &failure{Status: http.StatusPreconditionFailed, Detail: "the users were changed in the meantime; nothing was written", Hint: "read them again"}
	}
	if e, ok := errors.AsType[*notInEffect](err); ok {
		f := asFailure(e.err)
		return &failure{Status: http.StatusConflict, Detail: "the change is written, and not in effect: the reload failed: " + f.Detail, Hint: "it takes effect when the other files load", Errors: f.Errors}
	}
	f := inTermsOfTheAPI(err)
	switch { // the editor has asked for nothing wrong
	case errors.Is(err, useredit.ErrLocked):
		f.Status = http.StatusServiceUnavailable
	case errors.Is(err, useredit.ErrNotWritten):
		f.Status = http.StatusInternalServerError
	}
	return f
}

// readJSON reads the body of a call of the API.
func (c *call) readJSON(v any) error {
	data, err := c.readBody()
	if err != nil {
		return err
	}
	defer clear(data)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err = d.Decode(v)
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = errors.New("something follows the object") // it would be ignored
		}
	}
	if err != nil {
		return &failure{Status: http.StatusBadRequest, Detail: "the body is not the JSON that is expected: " + escape.Printable(err.Error(), maxDetail), Hint: "admin/openapi.yaml describes it"}
	}
	return nil
}

// inTermsOfTheAPI names fields in place of the flags of the command, which shares the checks.
func inTermsOfTheAPI(err error) *failure {
	f := new(*asFailure(err)) // some failures are shared
	f.Errors = slices.Clone(f.Errors)
	flags := strings.NewReplacer("--cert FILE", "certificate_pem", "--by ", "by ", "--value", "value", "--issuer", "issuer", "--user", "user", "--not-", "not_")
	f.Detail, f.Hint = flags.Replace(f.Detail), flags.Replace(f.Hint)
	for i, e := range f.Errors {
		f.Errors[i].What, f.Errors[i].Hint = flags.Replace(e.What), flags.Replace(e.Hint)
	}
	return f
}
