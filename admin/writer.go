package admin

import (
	"context"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/trust"
)

// writer is where edits of the users are written: into files on disk, for example. Every edit of
// the page goes through one. It is safe for concurrent use.
type writer interface {
	// open reads the users as they are now. Its digest is the ETag that an edit must name.
	open(context.Context) (*useredit.File, error)
	// write makes a change, and returns when it is in effect on this server. The digest is that of
	// the users after it; with an error it is that of the users as they are, or zero if they cannot
	// be read. useredit.ErrStale means that they are not those that the editor has seen. With
	// another error nothing is written, except with a *notInEffect.
	write(context.Context, *edit) (*useredit.Change, trust.Digest, error)
}

// edit is a change of the users that an editor asks for.
type edit struct {
	author author
	seen   trust.Digest // of the users that the editor has seen
	dryRun bool         // everything but the writing
	change func(*useredit.File) (*useredit.Change, error)
}

// author is the user who makes an edit, and the note.
type author struct {
	user, mapping string
	note          string // as the editor wrote it, at most maxNote bytes; not escaped
}

// notInEffect is the error for a change that is written, and that the server does not use.
type notInEffect struct{ err error }

func (e *notInEffect) Error() string {
	return "the change is written, and not in effect: " + e.err.Error()
}
func (e *notInEffect) Unwrap() error { return e.err }

// diskWriter writes the files of a server, as the command mtlsguard users does, and reloads.
type diskWriter struct{ server *mtlsguard.Server }

func (w diskWriter) open(context.Context) (*useredit.File, error) {
	return useredit.OfServer(w.server)
}

func (w diskWriter) write(ctx context.Context, e *edit) (*useredit.Change, trust.Digest, error) {
	open := func() (*useredit.File, error) { return w.open(ctx) }
	out, digest, _, err := useredit.Apply(useredit.Request{Open: open, Digest: &e.seen, DryRun: e.dryRun, Change: e.change})
	if err != nil || e.dryRun {
		return out, digest, err
	}
	if err := w.server.Reload(); err != nil { // another file is wrong: the loader has accepted this one
		return out, digest, &notInEffect{err}
	}
	return out, digest, nil
}
