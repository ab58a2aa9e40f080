package keystore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/alias"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// DirectoryConfig configures a keystore in a folder.
type DirectoryConfig struct {
	Path     string
	Password func(file string) (string, error) // the password of a PKCS#12 or JKS file, by its name without the folder; nil means an empty one
	Origins  func(alias string) []string       // the origins that an alias is for; nil or none means any
	Now      func() time.Time                  // nil means time.Now
}

const maxEntries = 1000 // files in one folder

// NewDirectory reads a folder in which each file is the credential of an alias: ALIAS.pem
// with certificate and key, ALIAS.p12, ALIAS.pfx or ALIAS.jks. Further certificates of the
// alias are in ALIAS+ANYTHING.pem and so on. Files whose name begins with a dot are
// ignored; any other name is an error. Reload and Watch read the folder again: files may
// come and go, but the folder must not become empty. All errors are reported at once.
func NewDirectory(c DirectoryConfig) (*Files, error) {
	return newFiles(c.Now, c.entries)
}

// entries lists the files of the folder.
func (c *DirectoryConfig) entries() ([]Entry, error) {
	var wrong errorlist.List
	all, err := os.ReadDir(c.Path)
	switch {
	case err != nil:
		wrong.Add(configerror.Error{File: c.Path, What: "the folder cannot be read: " + withoutPath(err).Error()})
	case len(all) > maxEntries:
		wrong.Add(configerror.Error{File: c.Path, What: fmt.Sprintf("the folder has more than %d files", maxEntries), Hint: "move other files to another folder"})
		all = nil
	}
	var out []Entry
	for _, file := range all {
		base := file.Name()
		if strings.HasPrefix(base, ".") {
			continue // mounted volumes have such names, and temporary files too
		}
		path := filepath.Join(c.Path, base)
		name, ok := aliasOf(base)
		if !ok {
			wrong.Add(configerror.Error{File: path, What: "this is not the name of a credential", Hint: "ALIAS.pem, .p12, .pfx or .jks; ALIAS+2027.pem for a second certificate"})
			continue
		}
		e := Entry{Alias: name, File: path}
		if c.Password != nil {
			e.Password = func() (string, error) { return c.Password(base) }
		}
		if c.Origins != nil {
			e.Origins = c.Origins(name)
		}
		out = append(out, e)
	}
	if len(out) == 0 && wrong.Len() == 0 {
		wrong.Add(configerror.Error{File: c.Path, What: "the folder has no credentials", Hint: "ALIAS.pem with certificate and key"})
	}
	return out, wrong.Err()
}

// aliasOf returns the alias in a file name.
func aliasOf(file string) (string, bool) {
	ext := filepath.Ext(file)
	switch ext {
	case ".pem", ".p12", ".pfx", ".jks":
	default:
		return "", false
	}
	name, _, _ := strings.Cut(strings.TrimSuffix(file, ext), "+")
	return name, alias.Valid(name)
}
