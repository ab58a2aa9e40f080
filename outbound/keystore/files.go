package keystore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/mistake"
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
	*table
	entries func() ([]Entry, error)

	loading  sync.Mutex
	digest   [sha256.Size]byte // of all that was read
	warnings []string
}

// NewFiles reads the files. Every mistake in all of them is reported at once.
func NewFiles(c FilesConfig) (*Files, error) {
	if len(c.Entries) == 0 {
		return nil, &mistake.Mistake{What: "keystore: no entries", Hint: "Entries: alias and file"}
	}
	return start(c.Now, func() ([]Entry, error) { return c.Entries, nil })
}

func start(now func() time.Time, entries func() ([]Entry, error)) (*Files, error) {
	f := &Files{table: newTable(now), entries: entries}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Reload reads the files again. With any mistake, all of which are reported, what
// was in force stays. Files that are as they were cost no more than reading them.
func (f *Files) Reload() error {
	f.loading.Lock()
	defer f.loading.Unlock()
	entries, err := f.entries()
	if err != nil {
		return err
	}
	sources, warnings, digest, err := open(entries)
	if err != nil {
		return err
	}
	if digest == f.digest {
		f.warnings = warnings
		return nil
	}
	next, err := build(entries, sources)
	if err != nil {
		return err
	}
	f.all.Store(&next)
	f.digest, f.warnings = digest, warnings
	return nil
}

// Warnings are what is wrong with the files in force without making them useless:
// a key that anybody on the machine can read.
func (f *Files) Warnings() []string {
	f.loading.Lock()
	defer f.loading.Unlock()
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
			if err := f.Reload(); err != nil && report != nil {
				report(err)
			}
		}
	}
}

// open reads everything before anything is parsed.
func open(entries []Entry) (sources []source, warnings []string, digest [sha256.Size]byte, err error) {
	var wrong mistake.List
	h := sha256.New()
	take := func(alias, name string) []byte {
		data, public, err := read(name)
		if err != nil {
			wrong.Add(mistake.Mistake{File: name, What: fmt.Sprintf("the credential %q cannot be read: %s", alias, err)})
			return nil
		}
		if public {
			warnings = append(warnings, fmt.Sprintf("%s can be read by everyone on this machine (chmod o= FILE)", name))
		}
		for _, part := range [][]byte{[]byte(alias), []byte(name), data} {
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
			h.Write(part)
		}
		return data
	}
	for _, e := range entries {
		s := source{name: e.File, keyName: e.Key, inside: e.Entry, password: e.Password, keyPassword: e.KeyPassword}
		if e.Key != "" {
			before := len(warnings)
			s.data = take(e.Alias, e.File)
			warnings = warnings[:before] // certificates alone are public
			s.keyData = take(e.Alias, e.Key)
		} else {
			s.data = take(e.Alias, e.File)
		}
		sources = append(sources, s)
	}
	h.Sum(digest[:0])
	return sources, warnings, digest, wrong.Err()
}

func build(entries []Entry, sources []source) (credentials, error) {
	var wrong mistake.List
	next := credentials{}
	for i, e := range entries {
		pair, err := sources[i].parse()
		if err != nil {
			wrong.Merge(err, mistake.Mistake{File: e.File})
			continue
		}
		c, err := outbound.NewCredential(e.Alias, pair, e.Origins...)
		if err != nil {
			for _, m := range mistake.All(err) {
				wrong.Add(mistake.Mistake{File: e.File, What: m.What, Hint: m.Hint})
			}
			continue
		}
		next[e.Alias] = append(next[e.Alias], c)
	}
	for _, list := range next {
		newestFirst(list)
	}
	return next, wrong.Err()
}
