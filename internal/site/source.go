package site

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"slices"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/source"
)

// Source is the block source of mtlsguard.yaml, with what its files hold.
type Source struct {
	config.Source
	Signers source.Signers // empty: unsigned
	Roots   *x509.CertPool // of url; nil: those of the system
	Mount   string         // as fileset.Reader names it
	Keep    string         // the folder, as it is opened
}

// Check returns why a generation may not be used: it is of another fleet, or no trusted signer has
// signed it.
func (s *Source) Check(g *source.Generation) error {
	if s.Fleet != "" && g.Manifest.Fleet != s.Fleet {
		return &configerror.Error{
			What: fmt.Sprintf("generation %d is of fleet %q, and this node is of fleet %q", g.Manifest.Number, g.Manifest.Fleet, s.Fleet), Hint: "use the store of the fleet, or change fleet in source",
		}
	}
	if s.Unsigned {
		return nil
	}
	if err := s.Signers.Check(g); err != nil {
		return &configerror.Error{What: err.Error(), Hint: "sign it with a key whose public key is in source.signers"}
	}
	return nil
}

// ReadSource reads the block source of a configuration: it names the place of the other files. It
// returns nil without such a block. The error has every configuration error of mtlsguard.yaml.
func ReadSource(path string, f *fileset.Reader, program Program) (*Source, error) {
	l := newLoader(context.Background(), path, f, nil, nil, program)
	data, ok := l.text(configerror.Error{File: path}, path)
	if !ok {
		return nil, l.err()
	}
	file := config.Parse(path, data, program.forConfig(), &l.wrong)
	if file == nil || file.Source == nil {
		if program.Source {
			return nil, l.err()
		}
		return nil, nil // load reports the errors, with those of all other files
	}
	out := l.source(path, file)
	return out, l.err()
}

// mountKept mounts the last generation in keep, as a server does that starts without its store. It
// returns nil without a block source.
func mountKept(path string, f *fileset.Reader, program Program) (*source.Generation, error) {
	settings, err := ReadSource(path, f, program)
	if settings == nil || err != nil {
		return nil, err
	}
	all, err := source.OpenKeep(settings.Keep).Generations()
	at := settings.Source.Keep.In(path)
	if len(all) == 0 {
		at.What, at.Hint = "no generation is in keep, "+settings.Keep, "start the server, or bring one: mtlsguard-fleet seed --out FOLDER"
		if err != nil {
			at.What += ": " + err.Error()
		}
		return nil, &at
	}
	f.Remount(all[0].FS())
	return all[0], nil
}

// source completes the block source, and checks the generation that is mounted.
func (l *loader) source(path string, f *config.File) *Source {
	if f.Source == nil {
		if l.previous != nil && l.previous.Source != nil {
			l.wrong.Add(configerror.Error{File: path, What: "source is missing: this needs a restart", Hint: "restart the server, or undo the change"})
		}
		return nil
	}
	out := &Source{Source: *f.Source}
	at := f.Source.In(path)
	out.Mount = l.files.Beside(path, f.Source.Mount)
	if l.files.FS == nil {
		out.Keep = l.files.Beside(path, f.Source.Keep.Value)
	} else {
		out.Keep = f.Source.Keep.Value // the configuration is part of the program, and keep is on disk
	}
	if l.files.Mount == nil && l.wrong.Len() == 0 {
		l.files.Mount = &fileset.Mount{Folder: out.Mount}
	}
	if l.previous != nil {
		l.checkSameSource(at, out)
	}
	for _, name := range f.Source.Signers {
		file := l.files.Beside(path, name.Value)
		if !l.onNode(name.In(path), file, "signers") {
			continue
		}
		data, ok := l.need(name.In(path), file)
		if !ok {
			continue
		}
		signers, err := source.LoadSigners(file, data)
		l.wrong.Merge(err, configerror.Error{File: file})
		out.Signers = append(out.Signers, signers...)
	}
	if out.URL.Value != "" && !l.program.Editor { // an editor has other files than a node
		l.roots(path, out)
	}
	if g := l.program.Generation; g != nil && !l.program.Editor && l.wrong.Len() == 0 {
		l.wrong.Merge(placed(out.Check(g), path, at.Line), at)
	}
	return out
}

// roots reads the anchors of the URL, and rejects those that would come from the store, and such a key.
func (l *loader) roots(path string, s *Source) {
	for _, name := range s.Anchors {
		if !l.onNode(name.In(path), l.files.Beside(path, name.Value), "anchors") {
			return
		}
	}
	if s.Key.Value != "" {
		l.onNode(s.Key.In(path), l.files.Beside(path, s.Key.Value), "key")
	}
	if len(s.Anchors) == 0 {
		return
	}
	s.Roots = x509.NewCertPool() // without a certificate, nothing is trusted
	for _, c := range l.certificates(path, s.Anchors, io.Discard, "anchors") {
		s.Roots.AddCert(c)
	}
}

// checkSameSource rejects a change of what a running server follows.
func (l *loader) checkSameSource(at configerror.Error, s *Source) {
	old := l.previous.Source
	if old != nil && s.Mount == old.Mount && s.Keep == old.Keep && s.URL.Value == old.URL.Value {
		return
	}
	at.What, at.Hint = "source: mount, keep or url has changed: this needs a restart", "restart the server, or undo the change"
	l.wrong.Add(at)
}

// onNode rejects a file that must be on the disk of the node, and would come from the source.
func (l *loader) onNode(at configerror.Error, file, key string) bool {
	if !l.files.Mounted(file) {
		return true
	}
	at.What = fmt.Sprintf("%s: %s is below the mount of source, and its content would come from the store", key, file)
	at.Hint = "use a file of this node outside the mount"
	l.wrong.Add(at)
	return false
}

// fleetPorts adds the names of ports that other nodes of the fleet have.
func (l *loader) fleetPorts(names []string) []string {
	if g := l.program.Generation; g != nil {
		for _, name := range g.Manifest.Ports {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
