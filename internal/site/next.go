package site

import (
	"context"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/source"
)

// CheckNext loads a generation of a fleet as the program that reads f would, when previous is in effect. Besides the
// error of Load there are the findings of Lint.
func CheckNext(ctx context.Context, path string, f *fileset.Reader, previous *Generation, now func() time.Time, program Program) (*Generation, []configerror.Finding, error) {
	return loadAndLint(newLoader(ctx, path, f, previous, now, program), LintOptions{Now: now, Program: program})
}

// LoadNext loads a generation of a fleet as a node with this configuration would when previous is
// in effect there, on the machine of an editor: see Program.Editor. previous may be nil. settings
// are those of ReadSource. Besides the error of Load there are the findings of Lint.
func LoadNext(ctx context.Context, path string, settings *Source, g *source.Generation, previous *Generation, now func() time.Time) (*Generation, []configerror.Finding, error) {
	files := fileset.New(nil)
	files.Mount = &fileset.Mount{Folder: settings.Mount, FS: g.FS()}
	o := LintOptions{Now: now, Program: Program{Generation: g, Editor: true}}
	return loadAndLint(newLoader(ctx, path, files, previous, now, o.Program), o)
}
