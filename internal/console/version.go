package console

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// VersionFlag is the flag --version: it prints the version and ends the command.
type VersionFlag bool

type version struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // whether the files differ from the revision
	Go       string `json:"go"`
}

// BeforeReset implements the hook that kong calls for the flag before it checks the other
// arguments.
func (VersionFlag) BeforeReset(k *kong.Kong, ctx *kong.Context) error {
	v := buildVersion()
	asJSON := false
	for _, p := range ctx.Path {
		if p.Flag != nil && p.Flag.Name == "json" {
			asJSON = true
		}
	}
	if asJSON {
		_ = PrintJSON(k.Stdout, v) // the hook cannot report an error of standard output
	} else {
		fmt.Fprintf(k.Stdout, "%s %s%s, %s\n", k.Model.Name, v.Version, v.suffix(), v.Go)
	}
	k.Exit(0)
	return nil
}

func (v version) suffix() string {
	switch {
	case v.Revision == "":
		return ""
	case v.Modified:
		return " (" + v.Revision + ", modified)"
	}
	return " (" + v.Revision + ")"
}

// buildVersion returns the version of the running binary.
func buildVersion() version {
	v := version{Version: "(devel)", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
