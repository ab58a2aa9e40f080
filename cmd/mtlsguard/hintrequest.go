package main

import (
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/hostname"
	"github.com/mtlsguard/mtlsguard/internal/method"
)

// addUnread is for a request that net/http rejects, which has no reason.
func (h *hinter) addUnread() {
	if h.explanation.Unread {
		h.add(hint{Text: "net/http rejects this request before the guard: send an escaped path that begins with a slash"})
	}
}

// addAddress is for a connection from an address that the port does not accept.
func (h *hinter) addAddress() {
	h.add(hint{Text: "if the client may connect from its address, change addresses of the port, or of the whole file: add its range to allow, or remove it from deny"})
}

// addAmbiguousPath distinguishes an unknown method, a method in lower case, and a target that can
// be read in two ways.
func (h *hinter) addAmbiguousPath() {
	o := &h.explanation
	if method.Valid(o.Method) && strings.Contains(o.Detail, "method is not known") {
		h.addExtend("list the method in the methods of the port", &h.port.node, "methods", o.Method)
		return
	}
	if upper := strings.ToUpper(o.Method); upper != o.Method && method.Valid(upper) {
		h.add(hint{Text: "methods are case-sensitive: the client must send " + upper})
		return
	}
	h.add(hint{Text: "the client must send a target with one reading: one slash between segments, no dot segments, no escaped slash, dot or backslash" + escapesIn(o.Path) + ". No setting of the server allows it"})
}

// escapesIn names the escapes of a path that are read in two ways.
func escapesIn(path string) string {
	for _, e := range []struct{ text, is string }{{"%2F", "slash"}, {"%5C", "backslash"}, {"%2E", "dot"}} {
		if strings.Contains(strings.ToUpper(path), e.text) {
			return "; " + e.text + " is an escaped " + e.is
		}
	}
	return ""
}

// addMisdirected adds the requested host to the names of the port.
func (h *hinter) addMisdirected() {
	name := hostname.Canonical(h.request.Host) // as a client sends it, perhaps with a port
	if !hostname.Valid(name) {
		name = "NAME"
	}
	h.addExtend("add the name to the server_names of the port", &h.port.node, "server_names", yamlText(name))
}
