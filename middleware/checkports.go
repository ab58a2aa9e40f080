package middleware

import (
	"fmt"
	"maps"
	"slices"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/ports"
)

// CheckPorts returns an error that names every entry of Config.PerPort without a port: a port
// whose name is mistyped there would silently have the general settings. With Config.Ports,
// the error names every port that is missing in that list.
//
// A ports.Server calls it for a handler that Handler or Identify returned, where one of its
// ports is not in PerPort, and does not serve on an error. A program that wraps the handler
// calls CheckPorts itself, with all its ports. It is safe for concurrent use.
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

// checkNamed adds an error for each entry of PerPort that is not among names.
func checkNamed(wrong *errorlist.List, perPort map[string]PortConfig, names []string) {
	for _, name := range slices.Sorted(maps.Keys(perPort)) {
		if !slices.Contains(names, name) {
			wrong.Add(configerror.Error{What: fmt.Sprintf("Config.PerPort[%q]: there is no port of this name", name), Hint: fmt.Sprintf("the ports are %q", names)})
		}
	}
}
