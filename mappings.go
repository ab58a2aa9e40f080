package mtlsguard

import (
	"iter"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
)

// Mappings returns the mappings in effect, in the order of the table. There may be a million:
// a caller stops when it has enough. With Options.Map there are none.
func (s *Server) Mappings() iter.Seq[certmap.Mapping] {
	if s.options.Map != nil {
		return func(func(certmap.Mapping) bool) {}
	}
	return s.currentGeneration().Table.All()
}

// Lint is the function Lint for the configuration file of the server, as it is on disk now, with
// the server's own options. It takes as long as a reload, and as much memory.
func (s *Server) Lint(o LintOptions) ([]configerror.Finding, error) {
	if s.fsys != nil {
		return nil, &configerror.Error{File: s.path, What: "the configuration is not a file of the operating system", Hint: "Lint reads files; Open opens them"}
	}
	o.Options, o.Now = s.options, s.options.Now
	return Lint(s.path, o)
}
