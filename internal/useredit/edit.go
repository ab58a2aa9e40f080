package useredit

import (
	"maps"
	"slices"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
)

// Names returns the names of the files in their order.
func (edit Edit) Names() []string { return slices.Sorted(maps.Keys(edit)) }

// namesAfter returns the names of the files that are there after an edit, in their order.
func (f *File) namesAfter(edit Edit) []string {
	names := slices.Concat(f.Names, edit.Names())
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(n string) bool {
		data, ok := edit[n]
		return ok && f.IsFolder && usersfile.Blank(data)
	})
}

// add returns the edit that adds a mapping, and the file that gets it.
func (f *File) add(fields []usersfile.Field, id string) (Edit, string, error) {
	name := f.Name
	if f.IsFolder {
		name = usersfile.SegmentFor(f.Name, f.Names, id)
	}
	next, err := usersfile.Add(name, f.Data[name], fields)
	return Edit{name: next}, name, err
}

// remove returns the edit that removes mappings.
func (f *File) remove(ids []string) (Edit, error) {
	return f.change(ids, func(name string, data []byte, ids []string) ([]byte, error) {
		return usersfile.Remove(name, data, ids...)
	})
}

// setDisabled returns the edit that disables or enables mappings.
func (f *File) setDisabled(disabled bool, ids []string) (Edit, error) {
	return f.change(ids, func(name string, data []byte, ids []string) ([]byte, error) {
		return usersfile.SetDisabled(name, data, disabled, ids...)
	})
}

// change changes the mappings with these ids in every file that has one.
func (f *File) change(ids []string, change func(name string, data []byte, ids []string) ([]byte, error)) (Edit, error) {
	edit := Edit{}
	if !f.IsFolder {
		next, err := change(f.Name, f.Data[f.Name], ids)
		edit[f.Name] = next
		return edit, err
	}
	missing := slices.Clone(ids)
	var wrong errorlist.List
	for _, name := range f.Names {
		inside := usersfile.IDsIn(f.Data[name], ids)
		if len(inside) == 0 {
			continue
		}
		next, err := change(name, f.Data[name], inside)
		wrong.Merge(err, configerror.Error{File: name})
		edit[name] = next
		missing = slices.DeleteFunc(missing, func(id string) bool { return slices.Contains(inside, id) })
	}
	if len(missing) > 0 {
		wrong.Merge(usersfile.NotFound(f.Name, missing), configerror.Error{File: f.Name})
	}
	return edit, wrong.Err()
}
