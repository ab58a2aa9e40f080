// Package nginxconf imports the maps of a configuration of nginx from a client certificate to a user,
// or to whether it is let in.
//
//	map $ssl_client_s_dn $who {
//	    default "";
//	    "CN=alice,OU=Staff,O=Acme"           alice;
//	    ~^CN=(?<cn>[^,]+),OU=Staff,O=Acme$   $cn;
//	}
package nginxconf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// Options are the flags of the format.
type Options struct {
	Maps []string // such as who=user, reject=deny:1 and allowed=allow:1
	User string   // the user of an allow
	Each bool     // write a loose pattern certificate by certificate

	// SameCase declares that no two names of the authority differ in upper and lower case alone.
	SameCase bool
}

// role is what the value of a map means.
type role struct {
	block  *mapBlock
	what   string // user, allow or deny
	value  string // of allow and deny
	source importer.Key
}

// sources are the variables of nginx that are read. A map ignores the case of letters.
var sources = map[string]importer.Key{
	"$ssl_client_s_dn":        importer.OpenSSLKey(true),
	"$ssl_client_s_dn_legacy": importer.SlashKey(true, false),
	"$ssl_client_fingerprint": importer.DigestKey(true, false, false),
	"$ssl_client_serial":      importer.SerialKey(true),
}

const roleHint = "--map NAME=user, or NAME=allow:VALUE with --user, or NAME=deny:VALUE; NAME is that of the map without $"

// Read reads a configuration, or a file with maps alone.
func Read(in *importer.Import, name string, o Options) error {
	c := &config{in: in, main: name}
	if err := c.read(name, 0); err != nil {
		return err
	}
	roles, err := c.roles(o)
	if err != nil {
		return err
	}
	in.ReadAuthorities(name, "ssl_client_certificate", c.authorities)
	if c.unchecked {
		in.Remark("ssl_verify_client optional_no_ca: unless the configuration tests $ssl_client_verify, a certificate that anyone made names any user there. Here every certificate is verified")
	}
	for _, depth := range c.depths {
		in.Remark("ssl_verify_depth " + escape.Printable(depth, escape.Short) + " is not read: trust: {max_depth: …} on the port bounds the length of a chain")
	}
	if len(c.authorities) > 0 && len(c.depths) == 0 {
		in.Remark("without ssl_verify_depth nginx verifies chains with one authority at most between a certificate and a trusted one: trust: {max_depth: 1} on the port")
	}
	for _, name := range c.revocation {
		in.Remark(name + " is not read: crls and ocsp in the trust of the port refuse revoked certificates here")
	}
	in.Remark("an exact key matches there in upper and lower case alike; here the case of a subject counts")
	in.Remark("if, auth_request, satisfy and location are not read: write the rules for the users into policy.csv")
	t := &translation{in: in, roles: roles, options: o}
	in.FirstWins = true
	in.SourceUser = t.sourceUser
	t.carry()
	return nil
}

// roles returns the maps to read, and what their values mean.
func (c *config) roles(o Options) ([]role, error) {
	var known []*mapBlock
	for _, m := range c.maps {
		if _, ok := sources[m.source]; ok {
			known = append(known, m)
		}
	}
	if len(known) == 0 {
		return nil, &configerror.Error{File: c.main, What: "no map of a client certificate", Hint: "a map from $ssl_client_s_dn, $ssl_client_s_dn_legacy, $ssl_client_fingerprint or $ssl_client_serial"}
	}
	if len(o.Maps) == 0 {
		if len(known) > 1 {
			return nil, &configerror.Error{File: c.main, What: "several maps of a client certificate: " + names(known), Hint: roleHint}
		}
		o.Maps = []string{known[0].name + "=user"}
		if looksLikeSwitch(known[0]) {
			return nil, &configerror.Error{File: c.main, Line: known[0].place.Line, What: fmt.Sprintf("the values of %s are not user names", known[0].name), Hint: fmt.Sprintf("--map %s=allow:1 --user NAME", strings.TrimPrefix(known[0].name, "$"))}
		}
	}
	var out []role
	users := 0
	for _, text := range o.Maps {
		name, what, _ := strings.Cut(text, "=")
		what, value, hasValue := strings.Cut(what, ":")
		if !strings.HasPrefix(name, "$") {
			name = "$" + name
		}
		i := slices.IndexFunc(known, func(m *mapBlock) bool { return m.name == name })
		switch {
		case what != "user" && what != "allow" && what != "deny" || hasValue == (what == "user"):
			return nil, &configerror.Error{What: fmt.Sprintf("--map: %q", text), Hint: roleHint}
		case i < 0:
			return nil, &configerror.Error{File: c.main, What: fmt.Sprintf("--map: there is no map of a client certificate to %s", escape.Printable(name, escape.Short)), Hint: "the maps are " + names(known)}
		case what == "user" || what == "allow" && o.User != "":
			users++
		}
		out = append(out, role{known[i], what, value, sources[known[i].source]})
	}
	switch {
	case users == 0:
		return nil, &configerror.Error{What: "no map names the user", Hint: roleHint}
	case users > 1:
		return nil, &configerror.Error{What: "--map: two maps name the user", Hint: "import them one by one, into two folders"}
	case o.User != "" && !username.IsUser(o.User):
		return nil, &configerror.Error{What: fmt.Sprintf("--user: %q is not a user name", o.User), Hint: username.Hint}
	}
	return out, nil
}

func names(all []*mapBlock) string {
	var out []string
	for _, m := range all {
		out = append(out, fmt.Sprintf("%s from %s (line %d)", m.name, m.source, m.place.Line))
	}
	return escape.Printable(strings.Join(out, ", "), 1000)
}

// looksLikeSwitch reports whether all values of a map are words for yes and no.
func looksLikeSwitch(m *mapBlock) bool {
	for _, e := range append(m.exact, m.patterns...) {
		switch strings.ToLower(e.value) {
		case "", "0", "1", "on", "off", "yes", "no", "true", "false", "ok", "allow", "deny", "allowed", "denied":
		default:
			return false
		}
	}
	return true
}

// isUser reports whether a map names the user.
func (r *role) isUser(o Options) bool { return r.what == "user" || r.what == "allow" && o.User != "" }

// passes reports whether a value of a map lets a certificate in.
func (r *role) passes(value string) bool {
	switch r.what {
	case "allow":
		return value == r.value
	case "deny":
		return value != r.value
	}
	return value != ""
}
