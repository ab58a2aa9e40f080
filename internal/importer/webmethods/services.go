package webmethods

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// service is a service, or a folder with all the services in it that are not known by name.
type service struct {
	name   string
	folder bool
	line   *importer.Line
	known  bool // not only as a folder that a port denies
	isREST bool // has paths of --rest, in place of those that begin with /invoke
	rest   []*route
}

// service returns the service of a name. The line is that of the first place that names it.
func (s *instance) service(name string, l *importer.Line) *service {
	if known := s.services[name]; known != nil {
		return known
	}
	out := &service{name: name, folder: !strings.Contains(name, ":"), line: l}
	s.services[name] = out
	s.order = append(s.order, out)
	return out
}

// readMap reads aclmap_sm.cnf, which gives services and folders their ACL.
func (s *instance) readMap() error {
	d, err := s.readConfig("aclmap_sm.cnf")
	if err != nil {
		return err
	}
	for _, e := range d.root.entries {
		switch {
		case e.kind == "null":
			continue // inherits
		case e.kind != "value":
			return d.error(e.line, "%s is not a text", escape.Quote(e.name, escape.Short))
		}
		if len(e.name) > maxName {
			return d.error(e.line, "the name of a service has more than %d bytes", maxName)
		}
		s.entries[e.name] = e.text
		if isBuiltIn(e.name) && !s.options.BuiltIn {
			s.builtIn++
			continue
		}
		l := s.in.Line(d.at(e.line), e.name+" = "+e.text)
		if !isServiceName(e.name, !strings.Contains(e.name, ":")) {
			l.Skip("it is not the name of a service or folder that can be in a path", "write its rules by hand")
			continue
		}
		v := s.service(e.name, l)
		v.line, v.known = l, true
	}
	return nil
}

// aclOf returns the name of the ACL of a service or folder: its own, or that of the closest
// folder above with one.
func (s *instance) aclOf(name string) string {
	for ; name != ""; name = folderOf(name) {
		if a, ok := s.entries[name]; ok {
			return a
		}
	}
	return aclDefault
}

// maxNodes bounds the files of --ns.
const maxNodes = 500_000

// readNamespaces adds the services in the folders of --ns.
func (s *instance) readNamespaces() error {
	count := 0
	for _, folder := range s.options.Namespaces {
		roots, err := namespaceRoots(folder)
		if err != nil {
			return err
		}
		before := len(s.order)
		for _, root := range roots {
			if err := s.readNamespace(root, &count); err != nil {
				return err
			}
		}
		if count == 0 || len(s.order) == before {
			s.in.Remark("--ns " + escape.Printable(folder, 0) + " adds no service")
		}
	}
	return nil
}

// namespaceRoots returns the folders ns of a folder: of packages, of a package, or ns itself.
func namespaceRoots(folder string) ([]string, error) {
	if _, err := os.ReadDir(folder); err != nil {
		return nil, &configerror.Error{File: folder, What: "--ns: the folder cannot be read", Hint: "name the packages folder of the instance, a package, or its folder ns"}
	}
	isFolder := func(name string) bool {
		info, err := os.Lstat(name)
		return err == nil && info.IsDir()
	}
	if own := filepath.Join(folder, "ns"); isFolder(own) {
		return []string{own}, nil
	}
	var out []string
	if packages, err := os.ReadDir(folder); err == nil {
		for _, p := range packages {
			if ns := filepath.Join(folder, p.Name(), "ns"); p.IsDir() && isFolder(ns) {
				out = append(out, ns)
			}
		}
	}
	if out == nil {
		out = []string{folder}
	}
	return out, nil
}

// readNamespace adds the services of a folder ns: each is a folder with a file node.ndf.
func (s *instance) readNamespace(folder string, count *int) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return &configerror.Error{File: folder, What: "--ns: the folder cannot be read", Hint: "check the permissions"}
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if *count++; err != nil || *count > maxNodes {
			return &configerror.Error{File: filepath.Join(folder, name), What: "--ns: the folder cannot be read, or has too many files", Hint: "name the folders of the packages whose services are to be carried"}
		}
		if e.Name() != "node.ndf" || !e.Type().IsRegular() {
			return nil
		}
		data, err := fs.ReadFile(root.FS(), name)
		if err != nil {
			return &configerror.Error{File: filepath.Join(folder, name), What: "--ns: the file cannot be read", Hint: "check the permissions"}
		}
		parts := strings.Split(path.Dir(name), "/")
		if len(parts) < 2 || !bytes.Contains(data, []byte(`name="svc_type"`)) {
			return nil // a type of documents, a schema, …
		}
		last := len(parts) - 1
		s.addNamespaceService(folder, strings.Join(parts[:last], ".")+":"+parts[last])
		return nil
	})
}

func (s *instance) addNamespaceService(folder, name string) {
	if isBuiltIn(name) && !s.options.BuiltIn {
		s.builtIn++
		return
	}
	if s.services[name] != nil {
		return
	}
	l := s.in.Line(importer.Place{File: folder}, name)
	if !isServiceName(name, false) {
		l.Skip("it is not the name of a service that can be in a path", "write its rules by hand")
		return
	}
	s.service(name, l).known = true
}
