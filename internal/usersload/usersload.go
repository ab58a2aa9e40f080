// Package usersload loads the files of users of one configuration, and reuses what an
// earlier table was loaded from.
package usersload

import (
	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/usersload/hook"
)

// File is one file of mappings. Files of one table stand in one folder, and have the order of
// their names.
type File = hook.File

// Settings are what the meaning of the files depends on besides their content.
type Settings = hook.Settings

var load = hook.Load.(func(*certmap.Table, []hook.File, hook.Settings) (*certmap.Table, error))

// Load returns the table that certmap.Load would make of a file, or of several files as one.
// A mapping that repeats an id or conflicts with one in another file is an error that names
// both.
//
// previous is a table of an earlier Load, or nil. A file of the same name and digest is not
// read and not parsed again if Settings mean the same: the same ports, and the same keys for
// the issuers that it names by file. If nothing changed, Load returns previous itself. If
// little changed, it changes a copy of previous, which shares the rest with it. The result is
// always what a Load without previous would return. If a file cannot be read, Load returns no
// table, and no error unless something else is wrong too.
func Load(previous *certmap.Table, files []File, s Settings) (*certmap.Table, error) {
	return load(previous, files, s)
}

// Check returns the errors that a Load would report about JSON lines each by itself. An issuer may
// be the name of any file. It makes no table, and so finds no conflict and no repeated id.
func Check(name string, line []byte) error { return hook.Check(name, line) }
