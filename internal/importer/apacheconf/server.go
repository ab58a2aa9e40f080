package apacheconf

import (
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// location is a Location section with what it sets.
type location struct {
	node *node
	path string

	userFile, groupFile   string // "" if it does not set them
	fake                  int    // SSLOptions: 1 with FakeBasicAuth, -1 without, 0 if it is absent
	basic                 int    // AuthType and AuthBasicProvider: 1 as FakeBasicAuth needs, -1 otherwise
	requires              bool   // it has a Require
	subjects              []subject
	allGranted, allDenied bool   // Require all granted, all denied
	other                 bool   // a Require that also lets others in
	condition             string // a directive that limits the section and all in it
	unclear               string // a directive whose effect on the section is not read
}

// subject is whom a Require lets in.
type subject struct {
	kind string // user, group or valid-user
	name string
}

// server holds the directives of the main server and of a VirtualHost.
type server struct {
	in            *importer.Import
	main          string
	authorityFile string
	verifyDepth   string
	requests      bool // SSLVerifyClient requests certificates
	fake          int
	locations     []*location // in their order; a later one overrides
	blocked       bool        // --narrow: a condition that is not read may limit every Location

	users  *users
	groups map[string]map[string]bool // members by group, as in the file
}

// access are the directives that decide who is let in.
var access = map[string]bool{
	"require": true, "sslrequire": true, "sslrequiressl": true, "satisfy": true, "order": true, "allow": true, "deny": true, "authmerging": true,
	"authuserfile": true, "authgroupfile": true, "authbasicprovider": true, "authbasicfake": true, "authtype": true, "authbasicauthoritative": true,
	"limit": true, "limitexcept": true, "requireall": true, "requireany": true, "requirenone": true, "location": true, "locationmatch": true,
	"ssloptions": true, "sslverifyclient": true, "virtualhost": true, "use": true,
}

// hasAccess returns the first directive in a section that decides who is let in.
func hasAccess(all []*node) *node {
	for _, n := range all {
		if access[n.name] || n.missing {
			return n
		}
		if found := hasAccess(n.children); found != nil {
			return found
		}
	}
	return nil
}

// block reports a condition that may limit every Location.
func (s *server) block(n *node, why string) {
	if s.in.Line(n.place, n.text).Limit(why, conditionHint) {
		s.blocked = true
	}
}

// read reads the directives of the main server or of a VirtualHost.
func (s *server) read(all []*node) {
	for _, n := range flatten(all) {
		switch n.name {
		case "sslcacertificatefile":
			s.authorityFile = strings.Join(n.words, " ")
		case "sslverifydepth":
			s.verifyDepth = strings.Join(n.words, " ")
		case "sslverifyclient":
			s.readVerifyClient(strings.Join(n.words, " "))
		case "sslcarevocationcheck", "sslocspenable":
			if value := strings.Join(n.words, " "); !strings.EqualFold(value, "off") && !strings.EqualFold(value, "none") {
				s.in.Remark(escape.Printable(strings.Fields(n.text)[0], escape.Short) + " is not read: crls and ocsp in the trust of the port refuse revoked certificates here")
			}
		case "ssloptions":
			s.fake = fakeOption(s.fake, n.words)
		case "location":
			s.readLocation(n, "")
		case "virtualhost":
		case "directory", "directorymatch", "files", "filesmatch", "proxy", "proxymatch":
			s.readDirectory(n)
		case "ifmodule":
			for _, d := range flatten(n.children) {
				if d.name == "location" {
					s.readLocation(d, n.text)
				} else if bad := hasAccess([]*node{d}); bad != nil {
					s.block(bad, "it is in <IfModule>, which is not evaluated, and may refuse what a Location allows")
				}
			}
		default:
			switch {
			case n.missing && n.name == "include":
				s.block(n, "the file is not in the folder of the configuration, and may have sections that refuse")
			case n.missing:
			case n.section && n.name != "macro":
				if bad := hasAccess(n.children); bad != nil {
					s.block(bad, "it is in <"+n.name+">, which is not read, and may refuse what a Location allows")
				}
			case access[n.name]:
				s.block(n, "the directive may limit every Location")
			}
		}
	}
}

// readDirectory looks for directives of another section that hold in Locations too. Its Require does
// not: that of a Location replaces it.
func (s *server) readDirectory(n *node) {
	for _, d := range n.children {
		switch d.name {
		case "sslrequire", "sslrequiressl", "satisfy", "order", "allow", "deny", "authbasicfake", "authbasicprovider", "use":
			s.block(d, "it is in <"+n.name+">, and may hold in Locations too")
		case "if", "elseif", "else":
			if bad := hasAccess(d.children); bad != nil {
				s.block(bad, "an If decides after the Locations")
			}
		default:
			if d.missing {
				s.block(d, "the file is not in the folder of the configuration")
			}
			s.readDirectory(d)
		}
	}
}

// fakeOption returns whether FakeBasicAuth is on after an SSLOptions.
func fakeOption(before int, words []string) int {
	out := before
	for _, w := range words {
		name := strings.ToLower(strings.TrimLeft(w, "+-"))
		switch {
		case name != "fakebasicauth" && strings.HasPrefix(w, "+"), name != "fakebasicauth" && strings.HasPrefix(w, "-"):
		case name != "fakebasicauth": // options without a sign replace those before
			out = -1
		case strings.HasPrefix(w, "-"):
			return -1
		default:
			return 1
		}
	}
	return out
}

// readLocation reads a Location section. unclear is why it may not be there.
func (s *server) readLocation(n *node, unclear string) {
	loc := &location{node: n, unclear: unclear}
	switch {
	case len(n.words) != 1 || n.words[0] == "~" || !strings.HasPrefix(n.words[0], "/") || strings.ContainsAny(n.words[0], "*?[]{}$\\"):
		if hasAccess(n.children) != nil {
			s.block(n, "its path is not a plain path, and it may refuse what another Location allows")
		}
		return
	default:
		loc.path = n.words[0]
	}
	for _, d := range flatten(n.children) {
		s.readAccess(loc, d)
	}
	s.locations = append(s.locations, loc)
}

// readVerifyClient reads whether httpd requests certificates.
func (s *server) readVerifyClient(value string) {
	s.requests = s.requests || !strings.EqualFold(value, "none")
	if strings.EqualFold(value, "optional_no_ca") {
		s.in.Remark("SSLVerifyClient optional_no_ca: a certificate that anyone made is any user there. Here every certificate is verified")
	}
}

// readAccess reads a directive of a Location.
func (s *server) readAccess(loc *location, d *node) {
	value := strings.Join(d.words, " ")
	switch d.name {
	case "authuserfile":
		loc.userFile = value
	case "authgroupfile":
		loc.groupFile = value
	case "ssloptions":
		loc.fake = fakeOption(loc.fake, d.words)
	case "authtype":
		if loc.basic == 0 && strings.EqualFold(value, "Basic") {
			loc.basic = 1
		} else if !strings.EqualFold(value, "Basic") {
			loc.basic = -1
		}
	case "authbasicprovider":
		if !strings.EqualFold(value, "file") {
			loc.basic = -1
		}
	case "sslverifyclient":
		if strings.EqualFold(value, "none") {
			loc.unclear = d.text
		}
		s.readVerifyClient(value)
	case "requireany":
		for _, inner := range flatten(d.children) {
			s.readAccess(loc, inner)
		}
	case "require":
		s.readRequire(loc, d)
	case "sslrequire", "sslrequiressl", "satisfy", "order", "allow", "deny":
		loc.condition = d.text
	default:
		if access[d.name] || d.missing || hasAccess(d.children) != nil {
			loc.unclear = d.text
		}
	}
	if strings.Contains(d.text, "${") && access[d.name] {
		loc.unclear = d.text
	}
}

// readRequire reads a Require. Several of one section are alternatives.
func (s *server) readRequire(loc *location, d *node) {
	loc.requires = true
	kind := ""
	if len(d.words) > 0 {
		kind = strings.ToLower(d.words[0])
	}
	switch {
	case (kind == "user" || kind == "group") && len(d.words) > 1:
		for _, name := range d.words[1:] {
			loc.subjects = append(loc.subjects, subject{kind, name})
		}
	case kind == "valid-user" && len(d.words) == 1:
		loc.subjects = append(loc.subjects, subject{kind: kind})
	case kind == "all" && len(d.words) == 2 && strings.EqualFold(d.words[1], "granted"):
		loc.allGranted = true
	case kind == "all" && len(d.words) == 2 && strings.EqualFold(d.words[1], "denied"):
		loc.allDenied = true
	default:
		loc.other = true
		s.in.Line(d.place, d.text).Skip("the requirement is not read", "Require user, group or valid-user")
	}
}
