package config

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"time"

	"go.yaml.in/yaml/v3"
)

// Source is the block source: where the files that a fleet shares come from.
type Source struct {
	Position
	Mount    string // names below it come from the generation; it is clean and relative
	Keep     Scalar // a folder
	Signers  []Scalar
	Unsigned bool
	Fleet    string // empty: that of the first generation
	Node     string // empty: the name of the host
	URL      Scalar // empty: the program gives a store
	Anchors  []Scalar
	Cert     Scalar
	Key      Scalar
	First    time.Duration // how long a node without a generation waits at its start
	Poll     time.Duration // between two looks
	MaxAge   time.Duration // without an answer of the source after which the server is degraded; 0 is never
}

const (
	defaultFirst = 30 * time.Second
	defaultPoll  = 30 * time.Second
	minPoll      = time.Second
)

// source reads where shared files come from. nil is nowhere.
func (p *parser) source(n, root *yaml.Node) *Source {
	if n == nil {
		if p.program.Source {
			p.Say(root, "Options.Source is set, and source is missing", "add source: {mount: fleet, keep: FOLDER, signers: [FILE]}, or remove Options.Source")
		}
		return nil
	}
	m := p.Map(n, "source", "mount", "keep", "signers", "unsigned", "fleet", "node", "url", "anchors", "certificate", "first", "poll", "max_age")
	out := &Source{
		Position: Position{n}, Keep: p.scalar(m["keep"], "keep"), Signers: p.scalars(m["signers"], "signers"), Unsigned: p.Bool(m["unsigned"], "unsigned", false),
		Fleet: p.Text(m["fleet"], "fleet"), Node: p.Text(m["node"], "node"), URL: p.scalar(m["url"], "url"), Anchors: p.scalars(m["anchors"], "anchors"),
		First: p.duration(m["first"], "first", 0, defaultFirst), Poll: p.duration(m["poll"], "poll", minPoll, defaultPoll), MaxAge: p.duration(m["max_age"], "max_age", 0, 0),
	}
	if n.Kind != yaml.MappingNode {
		return out // reported by Map
	}
	mount := p.Text(m["mount"], "mount")
	out.Mount = path.Clean(mount)
	switch {
	case mount == "":
		p.Say(at(m["mount"], n), "source has no mount", "add mount: fleet: names such as fleet/users.yaml then come from the generation")
	case out.Mount == "." || !fs.ValidPath(out.Mount):
		p.Say(m["mount"], fmt.Sprintf("mount: %q is not a folder below that of mtlsguard.yaml", mount), "write a name such as fleet")
	}
	if out.Keep.Value == "" {
		p.Say(at(m["keep"], n), "source has no keep", "add keep: /var/lib/NAME/fleet, a folder of this node alone: it starts from the last generation there if the store is down")
	}
	switch {
	case len(out.Signers) == 0 && !out.Unsigned:
		p.Say(at(m["signers"], n), "source has no signers: anyone with write access to the store could map any certificate to any user", "add signers: [FILE] with Ed25519 public keys in PEM, or unsigned: true")
	case len(out.Signers) > 0 && out.Unsigned:
		p.Say(m["unsigned"], "unsigned is true, and there are signers", "remove one of the two")
	}
	p.sourceURL(out, n, m)
	return out
}

// sourceURL reads the source that is built in.
func (p *parser) sourceURL(out *Source, n *yaml.Node, m map[string]*yaml.Node) {
	if u, err := url.Parse(out.URL.Value); out.URL.Value != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		p.Say(m["url"], fmt.Sprintf("url: %q is not https://HOST/PATH", out.URL.Value), "write the URL of the folder that has head, such as https://config.acme.example/fleet")
	}
	switch {
	case p.program.Editor || p.program.AnySource:
	case p.program.Source && out.URL.Value != "":
		p.Say(m["url"], "url is set, and the program gives a source, by Options.Source", "remove url, or Options.Source")
	case !p.program.Source && out.URL.Value == "":
		p.Say(n, "source has no url, and the program gives no source", "add url: https://HOST/PATH, or use mtlsguardd with --store URL; a program sets Options.Source")
	}
	if out.URL.Value == "" {
		for _, key := range []string{"anchors", "certificate"} {
			if m[key] != nil {
				p.Say(m[key], key+" has no effect without url", "remove it, or add url")
			}
		}
	}
	if m["certificate"] == nil {
		return
	}
	c := p.Map(m["certificate"], "certificate", "cert", "key")
	out.Cert, out.Key = p.scalar(c["cert"], "cert"), p.scalar(c["key"], "key")
	if out.Cert.Value == "" || out.Key.Value == "" {
		p.Say(m["certificate"], "certificate of source needs both cert and key", "add cert: FILE and key: FILE")
	}
}
