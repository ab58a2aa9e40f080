package useredit

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Request is a change of files on disk.
type Request struct {
	// Open opens the files. It is called twice: to find what to lock, and under the lock.
	Open   func() (*File, error)
	Digest *trust.Digest // of the files that the editor has seen, see File.Digest; nil: any
	DryRun bool          // everything but the writing
	Change func(*File) (*Change, error)
}

// Kinds of errors that the editor's input does not cause.
var (
	// ErrStale is the kind for files that are not those that the editor has seen.
	ErrStale = errors.New("the users were changed in the meantime")
	// ErrLocked is the kind for files that cannot be locked, for example because another editor holds the lock.
	ErrLocked = errors.New("the users cannot be locked")
	// ErrNotWritten is the kind for files that cannot be written.
	ErrNotWritten = errors.New("the users cannot be written")
)

// kindError gives an error a kind. Its text stays.
type kindError struct{ kind, err error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

// Apply makes a change: it locks the files, compares them with what the editor has seen, loads
// the result as a server does, and writes it. It returns the change and the digest of the
// files after it. With an error nothing is written, unless the error reports otherwise, and the digest is that of the
// files as they are, or zero if they cannot be read. written names the file that was written last.
// A server that watches the files reloads; otherwise the caller does.
func Apply(r Request) (out *Change, digest trust.Digest, written string, err error) {
	f, err := r.Open()
	if err != nil {
		return nil, digest, "", err
	}
	unlock, err := usersfile.Lock(f.Name)
	if err != nil {
		return nil, f.Digest(), "", &kindError{ErrLocked, err}
	}
	defer unlock()
	if f, err = r.Open(); err != nil {
		return nil, digest, "", err
	}
	digest = f.Digest()
	if r.Digest != nil && *r.Digest != digest {
		return nil, digest, "", fmt.Errorf("%w: nothing was written", ErrStale)
	}
	if out, err = r.Change(f); err != nil {
		return nil, digest, "", err
	}
	if r.DryRun {
		return out, digest, "", nil
	}
	if written, err = f.write(out.Edit); err != nil {
		kind := ErrNotWritten
		if now, openErr := r.Open(); openErr == nil && written == "" && now.Digest() != digest {
			kind, digest = ErrStale, now.Digest() // an editor that takes no lock
		}
		return nil, digest, written, &kindError{kind, err}
	}
	out.Written = true
	return out, f.DigestAfter(out.Edit), written, nil
}

// Digest returns the SHA-256 of the file; of a folder, that of the names and contents in it.
func (f *File) Digest() trust.Digest { return f.DigestAfter(nil) }

// DigestAfter returns the digest after an edit.
func (f *File) DigestAfter(edit Edit) trust.Digest {
	content := func(name string) []byte {
		if data, ok := edit[name]; ok {
			return data
		}
		return f.Data[name]
	}
	if !f.IsFolder {
		return sha256.Sum256(content(f.Name))
	}
	all := sha256.New()
	for _, name := range f.namesAfter(edit) {
		fmt.Fprintf(all, "%q %x\n", name, sha256.Sum256(content(name)))
	}
	return trust.Digest(all.Sum(nil))
}

// write writes the files of an edit, one after another. A server that reads between two of them
// loads a part of the change. It returns the file that was written last.
func (f *File) write(edit Edit) (written string, err error) {
	for _, name := range edit.Names() {
		old, exists := f.Data[name]
		var err error
		switch data := edit[name]; {
		case !exists:
			err = usersfile.Create(name, f.Names[0], data)
		case f.IsFolder && usersfile.Blank(data):
			err = usersfile.Delete(name, old)
		default:
			err = usersfile.Write(name, old, data)
		}
		if err != nil && written != "" {
			err = errors.Join(err, &configerror.Error{File: written, What: "this file has been changed, and not all others", Hint: "run the command again for the rest"})
		}
		if err != nil {
			return written, err
		}
		written = name
	}
	return written, nil
}

// OnDisk returns the files of the operating system.
func OnDisk(command func(verb, args string) string) Files {
	return Files{Read: certfile.ReadFile, Command: command, List: func(name, end string) ([]string, bool) {
		all, ok := fileset.New(nil).List(name, end)
		var out []string
		for _, n := range all { // without the folders in it
			if info, err := os.Stat(n); err != nil || !info.IsDir() {
				out = append(out, n)
			}
		}
		return out, ok
	}}
}
