package middleware

import (
	"fmt"
	"maps"
	"slices"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/ports"
)

// CheckPorts returns an error that names every entry of Config.PerPort for which there
// is no port: with a mistyped name, the port that is meant would have the general
// settings. With Config.Ports, it names every port that is missing there.
//
// Where a port of a ports.Server is not in PerPort, the server checks a handler that
// Handler or Identify returned, and refuses to serve. A program that wraps it calls
// CheckPorts itself, with all its ports. It is safe for concurrent use.
func (g *Guard) CheckPorts(all ...*ports.Port) error {
	s := g.snapshot.Load()
	if s == nil {
		return nil
	}
	var names []string
	for _, p := range all {
		names = append(names, p.Name())
	}
	var wrong errorlist.List
	if s.Ports == nil {
		checkNamed(&wrong, s.PerPort, names)
		return wrong.Err()
	}
	for _, name := range names {
		if !slices.Contains(s.Ports, name) {
			wrong.Add(configerror.Error{What: fmt.Sprintf("port %q is missing in Config.Ports", name), Hint: fmt.Sprintf("Config.Ports is %q", s.Ports)})
		}
	}
	return wrong.Err()
}

// checkNamed reports the entries of PerPort that are not among names.
func checkNamed(wrong *errorlist.List, perPort map[string]PortConfig, names []string) {
	for _, name := range slices.Sorted(maps.Keys(perPort)) {
		if !slices.Contains(names, name) {
			wrong.Add(configerror.Error{What: fmt.Sprintf("Config.PerPort[%q]: there is no port of this name", name), Hint: fmt.Sprintf("the ports are %q", names)})
		}
	}
}
