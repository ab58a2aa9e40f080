package site

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/token"
)

// HasPage reports whether the server itself answers requests on a port.
func (g *Generation) HasPage(port string) bool {
	return slices.ContainsFunc(g.pages, func(p config.Page) bool { return p.Port == port })
}

// tokenKey reads the key of the block tokens.
func (l *loader) tokenKey(path string, g *Generation) {
	if g.Tokens == nil || g.Tokens.Key.Value == "" || l.program.Editor { // it is on the nodes only
		return
	}
	at, name := g.Tokens.Key.In(path), l.files.Beside(path, g.Tokens.Key.Value)
	if !l.onNode(at, name, "key") {
		return
	}
	data, ok := l.need(at, name)
	if !ok {
		return
	}
	var err error
	if g.TokenKey, err = token.ParseKey(data); err != nil {
		l.wrong.Add(configerror.Error{File: name, What: err.Error(), Hint: "make one, and name it: openssl genpkey -algorithm ed25519 -out " + otherKeyFile(name)})
	}
}

// otherKeyFile returns the name of a file for a new key: not that of the file that was named, which the command of a
// hint would overwrite. It may hold another key.
func otherKeyFile(named string) string {
	const usual = "token-key.pem"
	if path.Base(filepath.ToSlash(named)) == usual {
		return "new-" + usual
	}
	return usual
}

// CheckServed rejects ports whose requests would go to the handler of a program that has none.
func (g *Generation) CheckServed(path string) error {
	var l loader
	for _, p := range g.AllPorts() {
		if p.Registration == nil && p.Tunnel == nil && p.Decision == nil && p.Upstream.Upstream == nil && !g.HasPage(p.Config.Name) {
			l.wrong.Add(configerror.Error{
				File: path, Line: p.Line, What: fmt.Sprintf("port %q has no upstream: nothing would serve its requests", p.Config.Name),
				Hint: `add upstream: {url: "http://127.0.0.1:8080"} with the address of your service, or answer, or name the port in admin, metrics or tokens`,
			})
		}
	}
	return l.err()
}
