package admin

import (
	"context"
	"fmt"
	"net/http"

	"github.com/mtlsguard/mtlsguard/internal/fleetedit"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/trust"
)

// apiRolledBack is the answer to a rollback.
type apiRolledBack struct {
	apiReloaded
	Number   uint64   `json:"number"` // of the new generation of the fleet
	Warnings []string `json:"warnings,omitempty"`
}

// rollback commits the users and the policy of an older generation again.
func (c *call) rollback() (any, error) { return c.rollBack(c.ifMatch()) }

// rollBack is rollback for an editor who has seen the generation in effect with the given ETag.
func (c *call) rollBack(match string) (*apiRolledBack, error) {
	c.what = "roll back the fleet to generation " + c.PathValue("number")
	if err := c.checkQuery("note", "lock_me_out", "dry_run"); err != nil {
		return nil, err
	}
	if !c.page.mayEdit() {
		return nil, &failure{Status: http.StatusForbidden, Detail: "this page does not edit", Hint: "the program sets Config.Edit; mtlsguard-fleet rollback does it"}
	}
	node, err := c.node()
	if err != nil {
		return nil, err
	}
	w, err := c.fleetWriter(node)
	if err != nil {
		return nil, err
	}
	seen, err := parseETag(match)
	if err != nil {
		return nil, err
	}
	if seen != trust.Digest(node.Site.Fleet.Digest()) {
		return nil, &failure{Status: http.StatusPreconditionFailed, Detail: "another generation is in effect by now; nothing was committed", Hint: "read GET /api/v1/fleet again"}
	}
	note, err := c.note()
	if err != nil {
		return nil, err
	}
	old, err := c.storedGeneration(node)
	if err != nil {
		return nil, err
	}
	if err := c.checkAncestor(w, old); err != nil { // fail closed: to restore forged files would sign them
		return nil, err
	}
	c.dryRun = c.URL.Query().Get("dry_run") == "1"
	warnings, err := c.restore(w, old, author{c.id.User, c.id.MappingID, note})
	if err != nil {
		return nil, editFailure(err)
	}
	s := c.server.Status()
	return &apiRolledBack{apiReloaded{s.Generation, report.Time(s.Since)}, fleetedit.OfServer(c.server).Site.Fleet.Manifest.Number, warnings}, nil
}

// checkAncestor refuses a generation that no signer has signed, or that was never in effect before the current
// one.
func (c *call) checkAncestor(w *fleetWriter, old *source.Generation) error {
	if err := w.node.Check(old); err != nil {
		return err
	}
	known, err := askStore(c, func(ctx context.Context) (*source.Generation, error) {
		return fleetedit.Ancestor(ctx, w.store, w.node.Site.Fleet, old.Manifest.Number)
	})
	if err == nil && known.Digest() != old.Digest() {
		err = &failure{Status: http.StatusConflict, Detail: fmt.Sprintf("generation %d is not one of those before the generation in effect; nothing was committed", old.Manifest.Number), Hint: "GET /api/v1/fleet lists them"}
	}
	return err
}

// restore commits the users and the policy of an older generation.
func (c *call) restore(w *fleetWriter, old *source.Generation, a author) ([]string, error) {
	type restored struct {
		files fleetedit.Contents
		found int
	}
	r, err := askStore(c, func(ctx context.Context) (r restored, err error) {
		r.files, r.found, err = w.node.Restored(ctx, old)
		return r, err
	})
	if err == nil && r.found == 0 {
		err = invalid(fmt.Sprintf("generation %d has neither the users nor the policy of this node", old.Manifest.Number), "choose another one")
	}
	if err != nil {
		return nil, err
	}
	m := source.Manifest{Restores: old.Manifest.Number, Ports: portsOfBoth(w.node.Site.Fleet, old)}
	return w.commit(c.Context(), a, m, r.files, c.dryRun, c.staysIn)
}

// portsOfBoth returns the names of ports that old rules and mappings may use besides the current
// ones.
func portsOfBoth(now, old *source.Generation) (out []string) {
	seen := map[string]bool{}
	for _, name := range append(append([]string{}, now.Manifest.Ports...), old.Manifest.Ports...) {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}

// staysIn refuses a generation in which the caller could not make this request again. lock_me_out=1 allows it.
func (c *call) staysIn(next *site.Generation) error {
	if c.URL.Query().Get("lock_me_out") == "1" {
		return nil
	}
	sameUser := next.Users == "" || c.isCaller(next.Table) // without a file, the program maps
	if sameUser && fleetedit.Allows(c.Context(), next, policy.Request{User: c.id.User, Port: c.id.Port, Method: c.Method, Path: c.URL.Path}) {
		return nil
	}
	return &failure{Status: http.StatusConflict, Detail: "after this you could not undo it: you would be another user, or without the right; nothing was committed", Hint: "lock_me_out=1 makes it anyway"}
}

// rollbackScreen rolls back, and goes back to the changes.
func (c *call) rollbackScreen() (any, error) {
	c.Body = http.MaxBytesReader(c.w, c.Body, maxUpload)
	if err := c.ParseForm(); err != nil {
		return nil, bodyError(err)
	}
	if _, err := c.rollBack(c.PostForm.Get("etag")); err != nil {
		return nil, err
	}
	http.Redirect(c.w, c.Request, "/changes", http.StatusSeeOther)
	return nil, nil
}
