package admin

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/fleetedit"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/trust"
)

// checkSigner returns why a key cannot sign generations.
func checkSigner(key crypto.Signer) error {
	if key == nil {
		return nil
	}
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		return &configerror.Error{What: fmt.Sprintf("admin: Config.Signer has a %T", key.Public()), Hint: "generations are signed with Ed25519"}
	}
	return nil
}

// writer returns where the edits of this call are written, or why nothing can be written.
func (c *call) writer() (writer, error) {
	node := fleetedit.OfServer(c.server)
	if node == nil || !node.SharesUsers() {
		return diskWriter{c.server}, nil
	}
	return c.fleetWriter(node)
}

// fleetWriter returns the writer of the fleet that a node is part of.
func (c *call) fleetWriter(node *fleetedit.Node) (*fleetWriter, error) {
	store, ok := c.page.storeOf(node)
	if !ok {
		return nil, &failure{Status: http.StatusConflict, Detail: "the users come from the source of a fleet that this program can only read", Hint: "edit them where it is written: mtlsguard-fleet users; or set Config.Store"}
	}
	if err := node.CheckKey(c.page.config.Signer); err != nil {
		return nil, &failure{Status: http.StatusConflict, Detail: err.Error(), Hint: "mtlsguard-fleet users --sign KEY makes the change; or set Config.Signer to a key whose public key is in source.signers"}
	}
	return &fleetWriter{node: node, store: store, asking: c.page.asking, key: c.page.config.Signer, now: c.page.config.Now}, nil
}

// storeOf returns the store of the fleet, if it is one that can be written.
func (p *Page) storeOf(node *fleetedit.Node) (source.Store, bool) {
	if p.config.Store != nil {
		return p.config.Store, true
	}
	store, ok := node.Source.(source.Store)
	return store, ok
}

// fleetWriter commits the next generation of a fleet. It begins with the generation in effect on this node, which was
// checked, and not with what the store holds: the store needs no trust.
type fleetWriter struct {
	node   *fleetedit.Node
	store  source.Store
	asking questions
	key    crypto.Signer // nil: generations are not signed
	now    func() time.Time
}

func (w *fleetWriter) open(context.Context) (*useredit.File, error) { return w.node.Users() }

func (w *fleetWriter) write(ctx context.Context, e *edit) (*useredit.Change, trust.Digest, error) {
	f, err := w.node.Users()
	if err != nil {
		return nil, trust.Digest{}, err
	}
	digest := f.Digest()
	if digest != e.seen {
		return nil, digest, useredit.ErrStale
	}
	out, err := e.change(f)
	if err != nil {
		return nil, digest, err
	}
	files, err := fleetedit.ContentsOf(ctx, w.node.Site.Fleet)
	if err != nil {
		return nil, digest, err
	}
	files.Edit(f, out.Edit, w.node.Inside)
	findings, err := w.commit(ctx, e.author, source.Manifest{}, files, e.dryRun, nil)
	out.Warnings = append(out.Warnings, findings...)
	if err != nil || e.dryRun {
		return out, digest, err
	}
	out.Written = true
	return out, f.DigestAfter(out.Edit), nil
}

// commit commits a generation with other files, and waits until it is in effect on this node. It returns new findings
// of lint. check may refuse it when it is loaded. A dry run commits nothing.
func (w *fleetWriter) commit(ctx context.Context, a author, m source.Manifest, files fleetedit.Contents, dryRun bool, check func(*site.Generation) error) ([]string, error) {
	m.Author, m.By, m.Note, m.At = a.user, fingerprintOf(ctx), a.note, w.now().UTC().Truncate(time.Second)
	if m.Ports == nil {
		m.Ports = w.node.Site.Fleet.Manifest.Ports
	}
	g, err := w.node.Next(m, files, w.key)
	if err != nil {
		return nil, err
	}
	loaded, findings, err := w.node.LoadNext(ctx, g)
	if err == nil && check != nil {
		err = check(loaded)
	}
	if err != nil || dryRun {
		return findings, err
	}
	// The editor may be gone by now: a commit is ended all the same, so that its answer means something.
	_, err = w.asking.ask(context.WithoutCancel(ctx), func(ctx context.Context) (any, error) { return nil, w.store.Commit(ctx, g) })
	_, notAsked := errors.AsType[*failure](err)
	switch {
	case errors.Is(err, source.ErrConflict):
		return findings, useredit.ErrStale
	case notAsked:
		return findings, err
	case err != nil:
		return findings, storeFailure(err, fmt.Sprintf("the changes of the fleet show whether generation %d is committed", g.Manifest.Number))
	}
	if err := w.node.Await(ctx, g); err != nil {
		return findings, &notInEffect{&failure{Status: http.StatusConflict, Detail: fmt.Sprintf("generation %d: %s", g.Manifest.Number, escape.Printable(err.Error(), maxDetail))}}
	}
	return findings, nil
}

// storeFailure returns the answer to an error of the store.
func storeFailure(err error, hint string) *failure {
	return &failure{Status: http.StatusServiceUnavailable, Detail: "the store of the fleet: " + escape.Printable(err.Error(), maxDetail), Hint: hint}
}

// fingerprintOf returns the fingerprint of the editor's certificate; "" if it is not at hand, as behind a gateway.
func fingerprintOf(ctx context.Context) string {
	conn, ok := ports.FromContext(ctx)
	if !ok {
		return ""
	}
	verified, err := conn.Verified(ctx)
	if err != nil {
		return ""
	}
	return verified.Fingerprint().String()
}
