// Package vaultrole imports the roles of the auth method cert of Vault and OpenBao, as
// "vault read -format=json auth/cert/certs/NAME" writes them.
//
//	{"data": {"certificate": "-----BEGIN CERTIFICATE-----…", "allowed_uri_sans": ["spiffe://acme/ns/prod/sa/web"], "token_policies": ["web"]}}
package vaultrole

import (
	"crypto/x509"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/yamlnode"
	"github.com/mtlsguard/mtlsguard/internal/strictyaml"
)

// Options are the flags of the format.
type Options struct {
	Groups   bool // token_policies are groups
	SameCase bool // no two names of an authority differ in upper and lower case alone
}

// maxBytes bounds the size of a file: its nodes take a hundred times as much memory.
const maxBytes = 16 << 20

// Read reads files with one role, or with a list of roles.
func Read(in *importer.Import, files []string, o Options) error {
	r := &roles{Import: in, options: o}
	for _, name := range files {
		data, err := in.ReadFile(name)
		if err == nil && len(data) > maxBytes {
			err = &configerror.Error{File: name, What: fmt.Sprintf("the file is larger than %d MiB", maxBytes>>20), Hint: "split it"}
		}
		if err != nil {
			return err
		}
		root, err := strictyaml.Read(name, data)
		if err != nil {
			return err
		}
		r.File = name
		if root.Kind == yaml.SequenceNode {
			for _, n := range r.List(root, "the file") {
				r.read(n, "")
			}
			continue
		}
		base := filepath.Base(name)
		r.read(root, strings.TrimSuffix(base, filepath.Ext(base)))
	}
	if err := r.Wrong.Err(); err != nil {
		return err
	}
	r.carry()
	in.SourceUser = r.sourceUser
	return nil
}

// roles are the roles of all files.
type roles struct {
	yamlnode.Reader
	*importer.Import
	options Options
	all     []*role
}

// role is an element of auth/cert/certs.
type role struct {
	name         string
	line         *importer.Line
	certificate  string
	policies     []string
	constraints  []constraint // of which each must be met
	refused      string       // why the role is not carried, or ""
	authorities  []*importer.Authority
	certificates []*x509.Certificate // of users, which the role names one by one
}

// conditions are the keys that limit a role and are not carried.
var conditions = []string{"token_bound_cidrs", "bound_cidrs", "required_extensions"}

// passedOver are keys that do not limit who may log in. Those that begin with token_ and ocsp_ are too.
var passedOver = []string{"name", "display_name", "certificate", "policies", "ttl", "max_ttl", "period", "lease", "allowed_metadata_extensions", "alias_metadata"}

// read reads a role. name is that of its file, or "" in a list.
func (r *roles) read(n *yaml.Node, name string) {
	top := r.Fields(n, "a role")
	if data, ok := top["data"]; ok {
		top = r.Fields(data, "data")
	}
	if _, ok := top["certificate"]; !ok {
		r.Reject(n, "a role has no certificate", "vault read -format=json auth/cert/certs/NAME writes a role")
		return
	}
	one := &role{certificate: r.Text(top["certificate"], "certificate"), policies: append(r.Texts(top["token_policies"], "token_policies"), r.Texts(top["policies"], "policies")...)}
	for _, candidate := range []string{name, r.Text(top["name"], "name"), r.Text(top["display_name"], "display_name")} {
		if one.name == "" {
			one.name = candidate
		}
	}
	one.line = r.Line(r.At(n), "role "+one.name)
	for _, key := range constraintKeys {
		if texts := r.Texts(top[key], key); len(texts) > 0 {
			one.constraints = append(one.constraints, constraint{key, texts})
		}
	}
	for _, key := range sorted(top) {
		value := r.Follow(top[key])
		switch {
		case value == nil || value.Kind != yaml.ScalarNode && len(value.Content) == 0 || value.Value == "" && value.Kind == yaml.ScalarNode:
		case slices.Contains(conditions, key):
			one.refused = key + " limits it too, and is not carried"
		case slices.Contains(constraintKeys, key), slices.Contains(passedOver, key), strings.HasPrefix(key, "token_"), strings.HasPrefix(key, "ocsp_"):
		default:
			one.refused = fmt.Sprintf("what the key %q means is not known", key)
		}
	}
	if r.Bool(top["ocsp_enabled"], "ocsp_enabled", false) {
		r.Remark("ocsp_enabled is not carried: ocsp in the trust of the port sets it here")
	}
	r.all = append(r.all, one)
}
