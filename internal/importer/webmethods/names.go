package webmethods

import (
	"strings"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// Groups and users of the server that mean the same here.
const (
	everybody   = identity.Everybody
	anonymous   = identity.Anonymous
	defaultUser = identity.Default
)

// names gives each user and group of the source its name here. Two users of the source never
// become one: the first keeps the name.
type names struct {
	users, groups map[string]string // names of the source by name here
}

func newNames() *names { return &names{users: map[string]string{}, groups: map[string]string{}} }

// user returns the user for a name of the source, or reports the line.
func (n *names) user(l *importer.Line, name string) (string, bool) {
	here, ok := l.User(name)
	return here, ok && take(l, n.users, here, name, "user")
}

// group does the same for a group.
func (n *names) group(l *importer.Line, name string) (string, bool) {
	here, ok := l.Group(name)
	return here, ok && take(l, n.groups, here, name, "group")
}

func take(l *importer.Line, taken map[string]string, here, name, what string) bool {
	if other, ok := taken[here]; ok && other != name {
		l.Skip("the "+what+" "+escape.Quote(other, escape.Short)+" has the name "+here+" here already", "--rename "+escape.Shell(name+"=NAME")+" with another name")
		return false
	}
	taken[here] = name
	return true
}

// localName returns a name without the provider local. external is true for another provider,
// such as ldap or central.
func localName(name string) (local string, external bool) {
	provider, rest, ok := strings.Cut(name, "/")
	switch {
	case !ok:
		return name, false
	case provider == "local":
		return rest, false
	}
	return name, true
}

// isServiceName reports whether a name is of a service, such as acme.orders:create, or with
// folder of a folder, such as acme.orders. Other names would be patterns in the path of a rule.
func isServiceName(name string, folder bool) bool {
	path, service, ok := strings.Cut(name, ":")
	if ok == folder || len(name) > maxName {
		return false
	}
	parts := strings.Split(path, ".")
	if !folder {
		parts = append(parts, service)
	}
	for _, p := range parts {
		if p == "" || strings.Trim(p, nameCharacters) != "" {
			return false
		}
	}
	return true
}

const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$-"

// maxName is the longest name of a service, in bytes.
const maxName = 512

// builtInFolders are the folders of the services that come with the server.
var builtInFolders = []string{"wm", "pub", "win32", "com.wm", "com.softwareag"}

// isBuiltIn reports whether a service or folder comes with the server.
func isBuiltIn(name string) bool {
	for _, f := range builtInFolders {
		if name == f || strings.HasPrefix(name, f+".") || strings.HasPrefix(name, f+":") {
			return true
		}
	}
	return false
}

// folderOf returns the folder that holds a service or folder, or "".
func folderOf(name string) string {
	if folder, _, ok := strings.Cut(name, ":"); ok {
		return folder
	}
	return name[:max(strings.LastIndexByte(name, '.'), 0)]
}
