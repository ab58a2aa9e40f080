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

// Entry is one credential on disk. An alias may have several entries, with certificates
// whose validity overlaps.
type Entry struct {
	Alias       string
	File        string                 // PEM with certificate and key, PKCS#12, or JKS
	Key         string                 // the PEM file of the key; "" if File has the key
	Entry       string                 // the entry of a JKS file; "" if it has one key
	Password    func() (string, error) // the password of a PKCS#12 or JKS file; nil means an empty one
	KeyPassword func() (string, error) // the password of the key in a JKS file; nil means Password
	Origins     []string               // the origins that the credential is for; none means any
}

// FilesConfig configures a keystore of files.
type FilesConfig struct {
	Entries []Entry
	Now     func() time.Time // nil means time.Now
}

// Files is a keystore on disk. It is safe for concurrent use.
type Files struct {
	table
	entries func() ([]Entry, error)

	loading sync.Mutex
	current fileset.Set // the files in use, without their data; nil before the first load

	mu       sync.Mutex
	warnings []string
}

// NewFiles reads the files of a keystore. All errors in all files are reported at once.
func NewFiles(c FilesConfig) (*Files, error) {
	if len(c.Entries) == 0 {
		return nil, &configerror.Error{What: "keystore: FilesConfig.Entries is empty", Hint: "Entries: alias and file"}
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

// Reload reads the files again. If any file has an error, Reload returns all errors and
// the last good credentials remain in use. Unchanged files are not parsed again. A change
// is used once the files have not changed for half a second, or for longer if a file became
// shorter or disappeared: half a file can be a credential without its intermediates, which
// servers would refuse.
func (f *Files) Reload() error { return f.reload(context.Background()) }

var errChanging = &configerror.Error{What: "keystore: the files keep changing", Hint: "reload when they have been written"}

func (f *Files) reload(ctx context.Context) error {
	f.loading.Lock()
	defer f.loading.Unlock()
	var last *reading
	read := func() fileset.Set {
		last = readAll(f.entries)
		return last.files
	}
	if first := read(); f.current != nil && !first.Same(f.current) {
		if stable := fileset.Settled(ctx, read, f.pause); stable == nil {
			return cmp.Or[error](ctx.Err(), errChanging)
		}
	}
	if err := last.wrong.Err(); err != nil {
		return err
	}
	if f.current == nil || !last.files.Same(f.current) {
		next, err := build(last.entries, last.sources, f.time())
		if err != nil {
			return err
		}
		f.store(next)
		last.files.Drop()
		f.current = last.files
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.warnings = last.warnings
	return nil
}

// pause returns the time that the files must stay unchanged. A file that is missing from a
// folder may soon be written again, so it counts as one that became shorter.
func (f *Files) pause(now fileset.Set) time.Duration {
	now = maps.Clone(now)
	for name := range f.current {
		if _, there := now[name]; !there {
			now[name] = whole(fileset.Failed(fs.ErrNotExist))
		}
	}
	return now.Pause(f.current)
}

// whole marks the content of a file that must not be used in part.
func whole(c fileset.Content) fileset.Content {
	c.Whole = true
	return c
}

// Warnings returns problems of the files in use that do not prevent their use: a key that
// every user of the machine can read.
func (f *Files) Warnings() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.warnings
}

// Watch calls Reload at an interval, at least 1 s, until the context ends. It passes every
// error to report, which may be nil.
func (f *Files) Watch(ctx context.Context, interval time.Duration, report func(error)) {
	tick := time.NewTicker(max(interval, time.Second))
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

// reading is the content of all files at one time.
type reading struct {
	entries  []Entry
	sources  []source
	files    fileset.Set // by alias and name
	warnings []string
	wrong    errorlist.List
}

// readAll reads all files before any is parsed.
func readAll(entries func() ([]Entry, error)) *reading {
	out := &reading{files: fileset.Set{}}
	var err error
	if out.entries, err = entries(); err != nil {
		out.wrong.Merge(err, configerror.Error{})
		out.files[""] = fileset.Failed(err)
		return out
	}
	for _, e := range out.entries {
		s := source{name: e.File, keyName: e.Key, entry: e.Entry, password: e.Password, keyPassword: e.KeyPassword}
		before := len(out.warnings)
		s.data = out.read(e.Alias, e.File)
		if e.Key != "" {
			out.warnings = out.warnings[:before] // certificates alone are public
			s.keyData = out.read(e.Alias, e.Key)
		}
		out.sources = append(out.sources, s)
	}
	return out
}

// read reads one file and records its content, its error or its warning.
func (r *reading) read(alias, name string) []byte {
	key := alias + "\x00" + name
	data, public, err := readFile(name)
	if err != nil {
		r.wrong.Add(configerror.Error{File: name, What: fmt.Sprintf("the credential %q cannot be read: %s", alias, err), Hint: "check the name and the permissions"})
		r.files[key] = whole(fileset.Failed(err))
		return nil
	}
	if public {
		r.warnings = append(r.warnings, fmt.Sprintf("every user of this machine can read the key in %s (chmod o= FILE)", name))
	}
	r.files[key] = whole(fileset.Of(data))
	return data
}

// build parses the files and returns their credentials, or all errors. A file whose key has
// several certificates gives a credential for each.
func build(entries []Entry, sources []source, now time.Time) (credentials, error) {
	var wrong errorlist.List
	next := credentials{}
	for i, e := range entries {
		pairs, err := sources[i].parse(now)
		if err != nil {
			wrong.Merge(err, configerror.Error{File: e.File})
			continue
		}
		for _, pair := range pairs {
			c, err := outbound.NewCredential(e.Alias, pair, e.Origins...)
			if err != nil {
				for _, m := range configerror.All(err) {
					wrong.Add(configerror.Error{File: e.File, What: m.What, Hint: m.Hint})
				}
				continue
			}
			next[e.Alias] = append(next[e.Alias], c)
		}
	}
	for _, list := range next {
		sortNewestFirst(list)
	}
	return next, wrong.Err()
}
