// Package haproxymap imports the map and acl files of HAProxy whose keys are client certificates.
//
//	# dn.map, key ssl_c_s_dn
//	/O=Acme/OU=Services/CN=orders  orders-api
package haproxymap

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// Options are the flags of the format.
type Options struct {
	Key  string // the sample expression of the keys, such as ssl_c_s_dn
	User string // the user of every key of an acl file; "": the files are maps
}

// keys are the sample expressions that are read.
var keys = map[string]importer.Key{
	"ssl_c_s_dn":              importer.SlashKey(false, true),
	"ssl_c_s_dn(,0,rfc2253)":  importer.OpenSSLKey(false),
	"ssl_c_s_dn(cn)":          importer.CommonNameKey(),
	"ssl_c_sha1,hex":          importer.DigestKey(false, false, true),
	"ssl_c_der,sha2(256),hex": importer.DigestKey(false, true, true),
	"ssl_c_serial,hex":        importer.SerialKey(false),
	"ssl_c_s_dn(,,rfc2253)":   importer.OpenSSLKey(false),
	"ssl_c_der,sha2,hex":      importer.DigestKey(false, true, true),
	"ssl_c_der,sha1,hex":      importer.DigestKey(false, false, true),
	"ssl_c_s_dn(cn,1)":        importer.CommonNameKey(),
}

// shown are the sample expressions that messages name.
const shown = "ssl_c_s_dn, ssl_c_s_dn(,0,rfc2253), ssl_c_s_dn(cn), ssl_c_sha1,hex, ssl_c_der,sha2(256),hex, ssl_c_serial,hex"

// mapConverter is the end of an expression that names the map.
var mapConverter = regexp.MustCompile(`,(map(_[a-z0-9_]+)?)\(.*\)?$`)

// maxLine is the longest line that HAProxy reads as one, in bytes.
const maxLine = 16384 - 2

// Read reads files of keys.
func Read(in *importer.Import, names []string, o Options) error {
	key, err := o.key()
	if err != nil {
		return err
	}
	in.FirstWins = true
	f := &file{in: in, options: o, keys: in.NewKeys(key), seen: map[string]string{}}
	for _, name := range names {
		data, err := in.ReadFile(name)
		if err != nil {
			return err
		}
		number := 0
		for line := range strings.Lines(string(data)) {
			number++
			f.read(importer.Place{File: name, Line: number}, strings.TrimRight(line, "\r\n"))
		}
	}
	in.Remark("the key is " + o.Key + ", from --key: the files alone do not show it")
	in.SourceUser = f.sourceUser
	return nil
}

// key returns the key that --key names.
func (o *Options) key() (importer.Key, error) {
	text := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(o.Key), " ", ""))
	if found := mapConverter.FindStringSubmatch(text); found != nil {
		switch method := strings.TrimPrefix(found[2], "_"); method {
		case "", "str", "str_str":
			text = strings.TrimSuffix(text, found[0])
		default:
			return importer.Key{}, &configerror.Error{What: fmt.Sprintf("--key: map_%s finds a part of a text, and would let in more certificates than one", method), Hint: "write each certificate as an exact key of map or map_str"}
		}
	}
	k, ok := keys[text]
	switch {
	case !ok:
		return k, &configerror.Error{What: fmt.Sprintf("--key: %s is not read", escape.Quote(o.Key, escape.Short)), Hint: "one of " + shown}
	case o.User != "" && !username.IsUser(o.User):
		return k, &configerror.Error{What: fmt.Sprintf("--user: %q is not a user name", o.User), Hint: username.Hint}
	}
	return k, nil
}

// file reads the lines of files.
type file struct {
	in      *importer.Import
	options Options
	keys    *importer.Keys
	seen    map[string]string // values by key
}

// read reads a line as HAProxy does: a comment has its # at the very beginning; the key of a map
// ends at the first blank.
func (f *file) read(at importer.Place, text string) {
	if strings.HasPrefix(text, "#") {
		return
	}
	key := strings.TrimLeft(text, " \t")
	if key == "" {
		return
	}
	l := f.in.Line(at, text)
	value := f.options.User
	if f.options.User == "" {
		end := strings.IndexAny(key, " \t")
		if end < 0 {
			end = len(key)
		}
		key, value = key[:end], strings.Trim(key[end:], " \t")
	}
	switch _, twice := f.seen[key]; {
	case len(text) > maxLine:
		l.Skip(fmt.Sprintf("HAProxy reads a line of more than %d bytes as two", maxLine), "shorten the line")
		return
	case twice:
		l.Carry("an earlier line has the key, and decides there too")
		return
	}
	f.seen[key] = value
	if value == "" {
		l.Carry("no user: no mapping")
		return
	}
	user, ok := l.User(value)
	if !ok {
		if strings.ContainsAny(value, " \t") {
			l.Skip("the key of a map ends at the first blank: HAProxy looks up "+escape.Quote(key, escape.Short), "a subject with a blank needs an acl file")
		}
		return
	}
	mappings, dead, why, hint := f.keys.Mappings(key, user)
	switch {
	case dead != "":
		l.Skip(dead, "correct the key, or remove the line")
	case why != "":
		l.Skip(why, hint)
	}
	for _, m := range mappings {
		l.Map(m)
	}
}

// sourceUser is Import.SourceUser.
func (f *file) sourceUser(c *importer.Certificate) (string, bool) {
	text, ok := f.keys.Text(c)
	if !ok {
		return "", false
	}
	if !f.in.IssuedUnder(c) {
		return "", true
	}
	return f.seen[text], true
}
