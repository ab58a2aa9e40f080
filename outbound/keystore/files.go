package keystore

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/outbound"
)

// Entry is one credential on disk. Several entries of one alias are an overlap.
type Entry struct {
	Alias       string
	File        string                 // PEM with certificate and key, PKCS#12, or JKS
	Key         string                 // the PEM file of the key, if File has none
	Entry       string                 // the entry of a JKS; may be empty where it has one key
	Password    func() (string, error) // of PKCS#12 or JKS; nil is the empty one
	KeyPassword func() (string, error) // of the key within a JKS; nil is the same
	Origins     []string               // that the credential is for; none: any
}

// FilesConfig is what Files is built from.
type FilesConfig struct {
	Entries []Entry
	Now     func() time.Time // nil is time.Now
}

// Files is a keystore on disk. It is safe for concurrent use.
type Files struct {
	table
	entries func() ([]Entry, error)

	loading sync.Mutex
	read    fileset.Set // what is in force, without its data; nil before the first

	mu       sync.Mutex
	warnings []string
}

// NewFiles reads the files. Every mistake in all of them is reported at once.
func NewFiles(c FilesConfig) (*Files, error) {
	if len(c.Entries) == 0 {
		return nil, &configerror.Error{What: "keystore: no entries", Hint: "Entries: alias and file"}
	}
	return newFiles(c.Now, func() ([]Entry, error) { return c.Entries, nil })
}

func newFiles(now func() time.Time, entries func() ([]Entry, error)) (*Files, error) {
	f := &Files{entries: entries}
	f.Now = now
	if err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Reload reads the files again. With any mistake, all of which are reported, what
// was in force stays. Files that are as they were cost no more than reading them. A
// change is taken when it has stayed as it is for half a second, or longer where a file
// has become shorter or is gone: half a file may be a credential without its intermediates, and a
// server would refuse it.
func (f *Files) Reload() error { return f.reload(context.Background()) }

var errChanging = &configerror.Error{What: "keystore: the files change while they are read", Hint: "try again when they are written"}

func (f *Files) reload(ctx context.Context) error {
	f.loading.Lock()
	defer f.loading.Unlock()
	var last *reading
	read := func() fileset.Set {
		last = open(f.entries)
		return last.files
	}
	if first := read(); f.read != nil && !first.Same(f.read) {
		settled := fileset.Settled(ctx, read, f.pause)
		if settled == nil {
			return cmp.Or[error](ctx.Err(), errChanging)
		}
	}
	if err := last.wrong.Err(); err != nil {
		return err
	}
	if f.read == nil || !last.files.Same(f.read) {
		next, err := build(last.entries, last.sources)
		if err != nil {
			return err
		}
		f.store(next)
		last.files.Drop()
		f.read = last.files
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.warnings = last.warnings
	return nil
}

// pause is how long a change must stay as it is. A file that is gone from a folder may
// be about to come back, as another one, and counts as one that has become shorter.
func (f *Files) pause(now fileset.Set) time.Duration {
	now = maps.Clone(now)
	for name := range f.read {
		if _, there := now[name]; !there {
			now[name] = whole(fileset.Failed(fs.ErrNotExist))
		}
	}
	return now.Pause(f.read)
}

// whole marks a file whose blocks are good together only.
func whole(c fileset.Content) fileset.Content {
	c.Whole = true
	return c
}

// Warnings are what is wrong with the files in force without making them useless:
// a key that anybody on the machine can read.
func (f *Files) Warnings() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.warnings
}

// Watch reloads every so often until the context ends. Failures are reported each
// time.
func (f *Files) Watch(ctx context.Context, every time.Duration, report func(error)) {
	tick := time.NewTicker(max(every, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := f.reload(ctx); err != nil && report != nil && ctx.Err() == nil {
				report(err)
			}
		}
	}
}

// reading is everything that was read at one time.
type reading struct {
	entries  []Entry
	sources  []source
	files    fileset.Set // by alias and name
	warnings []string
	wrong    errorlist.List
}

// open reads everything before anything is parsed.
func open(entries func() ([]Entry, error)) *reading {
	out := &reading{files: fileset.Set{}}
	var err error
	if out.entries, err = entries(); err != nil {
		out.wrong.Merge(err, configerror.Error{})
		out.files[""] = fileset.Failed(err)
		return out
	}
	for _, e := range out.entries {
		s := source{name: e.File, keyName: e.Key, inside: e.Entry, password: e.Password, keyPassword: e.KeyPassword}
		before := len(out.warnings)
		s.data = out.take(e.Alias, e.File)
		if e.Key != "" {
			out.warnings = out.warnings[:before] // certificates alone are public
			s.keyData = out.take(e.Alias, e.Key)
		}
		out.sources = append(out.sources, s)
	}
	return out
}

// take reads a file.
func (r *reading) take(alias, name string) []byte {
	at := alias + "\x00" + name
	data, public, err := read(name)
	if err != nil {
		r.wrong.Add(configerror.Error{File: name, What: fmt.Sprintf("the credential %q cannot be read: %s", alias, err)})
		r.keep(at, fileset.Failed(err))
		return nil
	}
	if public {
		r.warnings = append(r.warnings, fmt.Sprintf("%s can be read by everyone on this machine (chmod o= FILE)", name))
	}
	r.keep(at, fileset.Of(data))
	return data
}

func (r *reading) keep(at string, c fileset.Content) {
	r.files[at] = whole(c)
}

func build(entries []Entry, sources []source) (credentials, error) {
	var wrong errorlist.List
	next := credentials{}
	for i, e := range entries {
		pair, err := sources[i].parse()
		if err != nil {
			wrong.Merge(err, configerror.Error{File: e.File})
			continue
		}
		c, err := outbound.NewCredential(e.Alias, pair, e.Origins...)
		if err != nil {
			for _, m := range configerror.All(err) {
				wrong.Add(configerror.Error{File: e.File, What: m.What, Hint: m.Hint})
			}
			continue
		}
		next[e.Alias] = append(next[e.Alias], c)
	}
	for _, list := range next {
		sortNewestFirst(list)
	}
	return next, wrong.Err()
}
