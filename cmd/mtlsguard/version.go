package main

import (
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// versionFlag prints the version and ends the command.
type versionFlag bool

type version struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // whether the files differ from the revision
	Go       string `json:"go"`
}

// BeforeReset implements the hook that kong calls for the flag before it checks the other
// arguments.
func (versionFlag) BeforeReset(k *kong.Kong, ctx *kong.Context) error {
	v := buildVersion()
	a := &app{stdout: k.Stdout}
	for _, p := range ctx.Path {
		if p.Flag != nil && p.Flag.Name == "json" {
			a.json = true
		}
	}
	if a.json {
		_ = a.printJSON(v) // the hook cannot report an error of standard output
	} else {
		a.printf("mtlsguard %s%s, %s\n", v.Version, v.suffix(), v.Go)
	}
	k.Exit(exitYes)
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
