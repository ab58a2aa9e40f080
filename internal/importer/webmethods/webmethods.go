// Package webmethods imports the ports, access control lists, users and certificate mappings of a
// webMethods Integration Server.
//
// A service is a path: acme.orders:create is /invoke/acme.orders/create, and also
// /invoke/acme.orders:create. An ACL becomes rules for the paths of each service that it guards,
// on each port that the service can be reached by.
package webmethods

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// Options are the flags of the format.
type Options struct {
	Listeners     []string // files of ports, besides those in the folder
	Namespaces    []string // folders with the services of packages
	REST          string   // a table of services with their paths; "": every path begins with /invoke
	BuiltIn       bool     // reads the services of the server itself too
	CertMap       string   // the table of certificate mappings; "": none
	Usage         string   // the usage of the mappings to carry
	ExternalUsers bool     // carries the mappings of users that users.cnf does not have
}

// instance is what has been read of an instance.
type instance struct {
	in      *importer.Import
	options Options
	folder  string
	config  string // of the config folder in folder: "" or "config"
	names   *names

	users       []*user
	groups      map[string]*group          // by name in the source
	groupsOf    map[string]map[string]bool // that name a member, by the member
	memberships int
	acls        map[string]*acl
	entries     map[string]string // ACL by service or folder: of aclmap_sm.cnf
	ports       []*port
	services    map[string]*service // by name, folders too
	order       []*service
	files       map[string]string // what the files of ports hold
	builtIn     int               // entries that are not read

	rules    int // written so far
	searched int // users, for the table of decisions
}

// Read reads the config folder of an instance, or the folder of the instance with its packages.
func Read(in *importer.Import, folder string, o Options) error {
	s := &instance{in: in, options: o, folder: folder, names: newNames(), groups: map[string]*group{}, groupsOf: map[string]map[string]bool{}, acls: map[string]*acl{}, entries: map[string]string{}, services: map[string]*service{}, files: map[string]string{}}
	if err := s.findConfig(); err != nil {
		return err
	}
	for _, read := range []func() error{s.readACLs, s.readUsers, s.readPorts, s.readMap, s.readNamespaces, s.readREST, s.writeRules, s.readCertMap} {
		if err := read(); err != nil {
			return err
		}
	}
	s.remark()
	return nil
}

// findConfig sets the config folder.
func (s *instance) findConfig() error {
	for _, s.config = range []string{"", "config"} {
		if _, err := os.Lstat(filepath.Join(s.folder, s.config, "acls.cnf")); err == nil {
			return nil
		}
	}
	return &configerror.Error{File: s.folder, What: "this is not the folder of an Integration Server: neither acls.cnf nor config/acls.cnf is in it", Hint: "name the config folder of an instance, or the instance's folder with config and packages"}
}

// readFile reads a file inside the folder.
func (s *instance) readFile(name string) (*document, error) {
	path, err := s.in.Inside(filepath.Join(s.folder, "acls.cnf"), name)
	if err != nil {
		return nil, &configerror.Error{File: filepath.Join(s.folder, name), What: "the file is not in the folder", Hint: "copy it there: acls.cnf, aclmap_sm.cnf, users.cnf and listeners.cnf belong together"}
	}
	return s.readDocument(path)
}

func (s *instance) readDocument(path string) (*document, error) {
	data, err := s.in.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return readValues(path, data)
}

// readConfig reads a file of the config folder.
func (s *instance) readConfig(name string) (*document, error) {
	return s.readFile(filepath.Join(s.config, name))
}

// remark reports what concerns every line.
func (s *instance) remark() {
	if s.builtIn > 0 {
		s.in.Remark(fmt.Sprintf("services of the server itself (%s) are not read; --built-in reads them. Entries: %d", strings.Join(builtInFolders, ", "), s.builtIn))
	}
	if s.options.CertMap == "" {
		s.in.Remark("no certificate mapping is in these files: --certmap FILE with the result of " + certMapQuery)
	}
	if s.options.Namespaces == nil {
		s.in.Remark("services that no file names are not known: --ns FOLDER reads the services of packages")
	}
	s.in.Remark("passwords, and list, read and write ACLs, are not carried; pages and files of packages have no rules")
}
