package keystore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/outbound"
)

// DirectoryConfig is what a folder of credentials is read by.
type DirectoryConfig struct {
	Path     string
	Password func(file string) (string, error) // of PKCS#12 and JKS files, by their name without folder; nil is the empty one
	Origins  func(alias string) []string       // that an alias is for; nil or none: any
	Now      func() time.Time                  // nil is time.Now
}

const maxEntries = 1000 // files of one folder

// NewDirectory reads a folder in which each file is the credential of an alias:
// ALIAS.pem with certificate and key, ALIAS.p12, ALIAS.pfx or ALIAS.jks. Several
// certificates of one alias are ALIAS+ANYTHING.pem and so on. Files whose name
// begins with a dot are left alone; any other is a mistake. A folder is read again by
// Reload and Watch: files may come and go, but the last one does not.
func NewDirectory(c DirectoryConfig) (*Files, error) {
	return start(c.Now, c.entries)
}

func (c *DirectoryConfig) entries() ([]Entry, error) {
	var wrong errorlist.List
	all, err := os.ReadDir(c.Path)
	switch {
	case err != nil:
		wrong.Add(configerror.Error{File: c.Path, What: "the folder cannot be read: " + plainly(err).Error()})
	case len(all) > maxEntries:
		wrong.Add(configerror.Error{File: c.Path, What: fmt.Sprintf("the folder has more than %d files", maxEntries)})
		all = nil
	}
	var out []Entry
	for _, file := range all {
		name := file.Name()
		if strings.HasPrefix(name, ".") {
			continue // mounted volumes have such, and who writes before renaming
		}
		path := filepath.Join(c.Path, name)
		alias, ok := aliasOf(name)
		if !ok {
			wrong.Add(configerror.Error{File: path, What: "this is no credential by its name", Hint: "ALIAS.pem, .p12, .pfx or .jks; ALIAS+2027.pem for a second one"})
			continue
		}
		e := Entry{Alias: alias, File: path}
		if c.Password != nil {
			e.Password = func() (string, error) { return c.Password(name) }
		}
		if c.Origins != nil {
			e.Origins = c.Origins(alias)
		}
		out = append(out, e)
	}
	if len(out) == 0 && wrong.Len() == 0 {
		wrong.Add(configerror.Error{File: c.Path, What: "the folder has no credentials"})
	}
	return out, wrong.Err()
}

// aliasOf returns the alias in a file's name.
func aliasOf(name string) (string, bool) {
	ext := filepath.Ext(name)
	switch ext {
	case ".pem", ".p12", ".pfx", ".jks":
	default:
		return "", false
	}
	alias, _, _ := strings.Cut(strings.TrimSuffix(name, ext), "+")
	return alias, outbound.ValidAlias(alias)
}
