package admin

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Edited is the answer to a change of the mappings: as users add --json, and the generation in
// which it is in effect.
type Edited struct {
	*useredit.Change
	Generation uint64 `json:"generation"`
	At         string `json:"at"`
	ETag       string `json:"etag"` // of the users after it
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
	chain, err := readCertificates([]byte(body.Certificate))
	if err != nil {
		return nil, err
	}
	if body.By == "" {
		body.By = "fingerprint"
	}
	if !slices.Contains(useredit.Kinds, body.By) {
		return nil, invalid("by: "+escape.Quote(body.By, escape.Short)+" is not a kind of mapping", "one of "+strings.Join(useredit.Kinds, ", "))
	}
	add := useredit.Add{
		Cert: "certificate_pem", User: body.User, By: body.By, Value: body.Value, ID: body.ID, Ports: body.Ports, NotBefore: body.NotBefore, NotAfter: body.NotAfter,
	}
	return c.edit(c.Header.Get("If-Match"), func(f *useredit.File) (*useredit.Change, error) {
		return add.Change(c.Context(), f, c.page.config.Now, func() ([]*x509.Certificate, error) { return chain, nil })
	})
}

// setMapping disables a mapping or changes its dates.
func (c *call) setMapping() (any, error) {
	var body setting
	if err := c.readJSON(&body); err != nil {
		return nil, err
	}
	set := useredit.Set{IDs: []string{c.PathValue("id")}, Disabled: body.Disabled, NotBefore: body.NotBefore, NotAfter: body.NotAfter}
	return c.edit(c.Header.Get("If-Match"), set.Change)
}

// removeMapping removes a mapping.
func (c *call) removeMapping() (any, error) {
	remove := useredit.Remove{IDs: []string{c.PathValue("id")}}
	return c.edit(c.Header.Get("If-Match"), remove.Change)
}

// edit applies a change to the users that have the given ETag, and waits until it is in effect.
// It goes through the loader, as the command does. dry_run=1 writes nothing.
func (c *call) edit(match string, change func(*useredit.File) (*useredit.Change, error)) (any, error) {
	if !c.page.config.Edit {
		return nil, &failure{Status: http.StatusForbidden, Detail: "this page does not edit", Hint: "the program sets Config.Edit; mtlsguard users edits the files"}
	}
	seen, err := parseETag(match)
	if err != nil {
		return nil, err
	}
	author, err := c.author()
	if err != nil {
		return nil, err
	}
	out, digest, err := c.writer().write(c.Context(), &edit{
		author: author, seen: seen, dryRun: c.URL.Query().Get("dry_run") == "1",
		change: func(f *useredit.File) (*useredit.Change, error) {
			out, err := change(f)
			if err == nil {
				err = c.checkLockOut(f, out)
			}
			return out, err
		},
	})
	if !digest.IsZero() {
		c.w.Header().Set("ETag", formatETag(digest))
	}
	if err != nil {
		return nil, editFailure(err)
	}
	s := c.server.Status()
	return &Edited{Change: out, Generation: s.Generation, At: report.Time(s.Since), ETag: formatETag(digest)}, nil
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
	return inTermsOfTheAPI(err)
}

// maxNote bounds the note of an edit, in bytes.
const maxNote = 200

// author returns who edits, with the note in the query.
func (c *call) author() (author, error) {
	note := c.URL.Query().Get("note")
	if len(note) > maxNote {
		return author{}, invalid(fmt.Sprintf("note: it has more than %d bytes", maxNote), "the number of a ticket, for example")
	}
	return author{c.id.User, c.id.MappingID, note}, nil
}

// checkLockOut refuses a change after which the caller would be another user, or none: nobody
// might be left who could undo it. lock_me_out=1 allows it.
func (c *call) checkLockOut(f *useredit.File, change *useredit.Change) error {
	if c.URL.Query().Get("lock_me_out") == "1" {
		return nil
	}
	own := func(m useredit.Mapping) bool { return m.ID == c.id.MappingID }
	locked := slices.ContainsFunc(change.Removed, own) && !slices.ContainsFunc(change.Added, own)
	if conn, ok := ports.FromContext(c.Context()); ok && c.id.Via == identity.TLS {
		table, err := f.Load(change.Edit)
		if err != nil {
			return err
		}
		verified, err := conn.Verified(c.Context())
		if err != nil {
			return err
		}
		match, err := table.WithClock(c.page.config.Now).Map(context.WithoutCancel(c.Context()), verified, c.id.Port)
		locked = err != nil || match.User != c.id.User
	} else if slices.ContainsFunc(change.Removed, own) {
		locked = true // behind a gateway the certificate is not at hand: any change of the own mapping
	}
	if locked {
		return &failure{Status: http.StatusConflict, Detail: "after this change you would not be user " + c.id.User + " any more; nothing was written", Hint: "lock_me_out=1 makes it anyway"}
	}
	return nil
}

// readJSON reads the body of an edit.
func (c *call) readJSON(v any) error {
	data, err := c.readBody()
	if err != nil {
		return err
	}
	defer clear(data)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return &failure{Status: http.StatusBadRequest, Detail: "the body is not the JSON that is expected: " + escape.Printable(err.Error(), maxDetail), Hint: "admin/openapi.yaml describes it"}
	}
	return nil
}

// parseETag reads the ETag that the editor has seen. Any other text of If-Match would let an edit
// overwrite another.
func parseETag(text string) (trust.Digest, error) {
	if text == "" {
		return trust.Digest{}, &failure{Status: http.StatusPreconditionRequired, Detail: "If-Match is missing", Hint: "the ETag of GET /api/v1/mappings"}
	}
	inner, ok := strings.CutPrefix(text, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	digest, err := trust.ParseDigest(inner)
	if !ok || !closed || err != nil {
		return trust.Digest{}, invalid(fmt.Sprintf("If-Match: %s is not an ETag of the users", escape.Quote(text, escape.Short)), "the ETag of GET /api/v1/mappings")
	}
	return digest, nil
}

func formatETag(d trust.Digest) string { return `"` + d.String() + `"` }

// usersETag returns the ETag of the users, or "" where they cannot be edited.
func (c *call) usersETag() string {
	if !c.page.config.Edit {
		return ""
	}
	f, err := c.writer().open(c.Context())
	if err != nil {
		return ""
	}
	return formatETag(f.Digest())
}

// setUsersETag sets the ETag of an answer that an edit may follow.
func (c *call) setUsersETag() {
	if tag := c.usersETag(); tag != "" {
		c.w.Header().Set("ETag", tag)
	}
}

// inTermsOfTheAPI names fields in place of the flags of the command, which shares the checks.
func inTermsOfTheAPI(err error) error {
	f := asFailure(err)
	flags := strings.NewReplacer("--cert FILE", "certificate_pem", "--by ", "by ", "--value", "value", "--issuer", "issuer", "--user", "user", "--not-", "not_")
	f.Detail, f.Hint = flags.Replace(f.Detail), flags.Replace(f.Hint)
	for i, e := range f.Errors {
		f.Errors[i].What, f.Errors[i].Hint = flags.Replace(e.What), flags.Replace(e.Hint)
	}
	return f
}
