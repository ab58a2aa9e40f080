package iisconf

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// choose returns the section to read, and those of the locations around it, the outermost first.
func choose(file string, root *element, location string) (section *element, around []*element, err error) {
	var found, all []*element
	var names []string
	root.each(func(e *element) {
		if e.name == sectionName {
			if location == "" || strings.EqualFold(location, e.location) {
				found = append(found, e)
			}
			all = append(all, e)
			names = append(names, escape.Quote(e.location, escape.Short))
		}
	})
	switch {
	case len(found) == 1:
		for _, e := range all {
			if e != found[0] && isAround(e.location, found[0].location) {
				around = append(around, e)
			}
		}
		slices.SortStableFunc(around, func(a, b *element) int { return cmp.Compare(len(a.location), len(b.location)) })
		return found[0], around, nil
	case len(names) == 0:
		return nil, nil, &configerror.Error{File: file, What: "the file has no iisClientCertificateMappingAuthentication", Hint: "applicationHost.config, or the web.config of the site; export one with appcmd list config"}
	case len(found) == 0:
		return nil, nil, &configerror.Error{File: file, What: "--location: no location has the path " + escape.Quote(location, escape.Short), Hint: "the locations are " + escape.Printable(strings.Join(names, ", "), 1000)}
	}
	return nil, nil, &configerror.Error{File: file, What: "several locations have mappings: " + escape.Printable(strings.Join(names, ", "), 1000), Hint: "--location PATH, for one at a time"}
}

// isAround reports whether a location holds another one, which inherits its settings.
func isAround(outer, inner string) bool {
	outer, inner = strings.ToLower(outer), strings.ToLower(inner)
	return outer == "" || inner == outer || strings.HasPrefix(inner, outer+"/")
}
