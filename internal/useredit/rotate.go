package useredit

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
)

// Rotate prepares a user for the next certificate: it adds a mapping of that certificate, and
// ends the mapping of the old one later, so that both are valid for a while.
type Rotate struct {
	ID     string // of the old mapping
	NewID  string // "": the user and the year in which the next certificate begins
	By     string // the kind of the new mapping; "": that of the old one
	Value  string // the value to map, if the certificate has several of the kind
	EndOld string // a date as users.yaml has it: the end of the old mapping
}

// Change returns the change. chain is the next certificate, and its issuers after it. In a
// file both mappings change with one write; in a folder they may stand in two of its files.
func (c *Rotate) Change(ctx context.Context, f *File, now func() time.Time, chain []*x509.Certificate) (*Change, error) {
	before, err := f.Mappings(nil)
	if err != nil {
		return nil, err
	}
	old, err := c.oldMapping(f, before)
	if err != nil {
		return nil, err
	}
	add := Add{
		Cert: "--cert FILE", User: old.User, By: cmp.Or(c.By, old.Kind), Value: c.Value, Ports: old.Ports,
		ID: cmp.Or(c.NewID, UnusedID(old.User+"-"+strconv.Itoa(chain[0].NotBefore.UTC().Year()), before)),
	}
	fields, effect, err := add.readMapping(ctx, f, now, before, func() ([]*x509.Certificate, error) { return chain, nil })
	if err != nil {
		return nil, err
	}
	next, file, err := f.add(fields, fields[0].Text)
	if err != nil {
		return nil, err
	}
	out := &Change{File: file, Line: usersfile.Format(file, fields), Warnings: effect.warnings()}
	if err := c.checkNew(f, next, before, old); err != nil {
		return nil, err
	}
	if err := f.checkAddition(next, before, effect); err != nil {
		return nil, err
	}
	set := Set{IDs: []string{c.ID}, NotAfter: &c.EndOld}
	ended, err := f.after(next).change(set.IDs, func(name string, data []byte, ids []string) ([]byte, error) {
		return usersfile.Set(name, data, set.Fields(), ids...)
	})
	if err != nil {
		return nil, err
	}
	maps.Copy(next, ended)
	return out, f.check(next, before, out, func(added, removed []Mapping) bool {
		isNew := func(m Mapping) bool { return m.ID == fields[0].Text }
		changed := slices.DeleteFunc(slices.Clone(added), isNew)
		return len(added) == len(changed)+1 && len(changed) == len(removed) && len(changed) <= 1 &&
			!slices.ContainsFunc(changed, func(m Mapping) bool { return !set.intended(m, set.IDs, before) })
	})
}

// oldMapping returns the mapping to end.
func (c *Rotate) oldMapping(f *File, before []certmap.Mapping) (Mapping, error) {
	i := slices.IndexFunc(before, func(m certmap.Mapping) bool { return m.ID == c.ID })
	if i < 0 {
		return Mapping{}, usersfile.NotFound(f.Name, []string{c.ID})
	}
	old := NewMapping(before[i])
	switch {
	case old.User == username.Variable:
		return old, usageError(fmt.Sprintf("mapping %s is a pattern of many users: the next certificate of one of them needs no rotation", quoted(c.ID)), "add a mapping, if the pattern does not match the certificate")
	case old.Disabled:
		return old, usageError(fmt.Sprintf("mapping %s is disabled: a rotation would let the user back in", quoted(c.ID)), "enable the mapping first, if the user may come back")
	case c.EndOld == "":
		return old, usageError("the end of the old mapping is missing", "end_old: a date, such as 2026-12-31")
	}
	return old, nil
}

// checkNew returns an error if the old mapping matches the next certificate already.
func (c *Rotate) checkNew(f *File, next Edit, before []certmap.Mapping, old Mapping) error {
	after, err := f.Mappings(next)
	if err != nil {
		return err
	}
	for _, added := range difference(before, after) {
		if sameValue(added, old) {
			return usageError(fmt.Sprintf("mapping %s matches this certificate already, by its %s: nothing needs to change", quoted(old.ID), old.Kind),
				"choose the next certificate, or another kind of mapping")
		}
	}
	return nil
}

// after returns the files as they are after an edit that is not written.
func (f *File) after(edit Edit) *File {
	out := *f
	out.Names, out.Data, out.table = f.namesAfter(edit), maps.Clone(f.Data), nil
	maps.Copy(out.Data, edit)
	return &out
}
