package main

import (
	"maps"
	"slices"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
)

// namesOf returns the names of the files of an edit in their order.
func (f *usersFile) namesOf(edit usersEdit) []string { return slices.Sorted(maps.Keys(edit)) }

// namesAfter returns the names of the files that are there after an edit, in their order.
func (f *usersFile) namesAfter(edit usersEdit) []string {
	names := slices.Concat(f.names, f.namesOf(edit))
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(n string) bool {
		data, ok := edit[n]
		return ok && f.isFolder && usersfile.Blank(data)
	})
}

// add returns the edit that adds a mapping, and the file that gets it.
func (f *usersFile) add(fields []usersfile.Field, id string) (usersEdit, string, error) {
	name := f.name
	if f.isFolder {
		name = usersfile.SegmentFor(f.name, f.names, id)
	}
	next, err := usersfile.Add(name, f.data[name], fields)
	return usersEdit{name: next}, name, err
}

// remove returns the edit that removes mappings.
func (f *usersFile) remove(ids []string) (usersEdit, error) {
	return f.change(ids, func(name string, data []byte, ids []string) ([]byte, error) {
		return usersfile.Remove(name, data, ids...)
	})
}

// setDisabled returns the edit that disables or enables mappings.
func (f *usersFile) setDisabled(disabled bool, ids []string) (usersEdit, error) {
	return f.change(ids, func(name string, data []byte, ids []string) ([]byte, error) {
		return usersfile.SetDisabled(name, data, disabled, ids...)
	})
}

// change changes the mappings with these ids in every file that has one.
func (f *usersFile) change(ids []string, change func(name string, data []byte, ids []string) ([]byte, error)) (usersEdit, error) {
	edit := usersEdit{}
	if !f.isFolder {
		next, err := change(f.name, f.data[f.name], ids)
		edit[f.name] = next
		return edit, err
	}
	missing := slices.Clone(ids)
	var wrong errorlist.List
	for _, name := range f.names {
		inside := usersfile.IDsIn(f.data[name], ids)
		if len(inside) == 0 {
			continue
		}
		next, err := change(name, f.data[name], inside)
		wrong.Merge(err, configerror.Error{File: name})
		edit[name] = next
		missing = slices.DeleteFunc(missing, func(id string) bool { return slices.Contains(inside, id) })
	}
	if len(missing) > 0 {
		wrong.Merge(usersfile.NotFound(f.name, missing), configerror.Error{File: f.name})
	}
	return edit, wrong.Err()
}
