package main

import (
	"net"
	"net/url"
	"strconv"
	"strings"
)

// parseServer reads HOST:PORT or an https URL. path is the URL's, or "".
func parseServer(text string) (addr, path string, err error) {
	scheme, rest, isURL := strings.Cut(text, "://")
	if !isURL {
		return text, "", validateAddr(text)
	}
	u, parseErr := url.Parse(text)
	switch {
	case parseErr != nil || u.Host == "" || u.Hostname() == "":
		return "", "", usageError(strconv.Quote(text)+" is not HOST:PORT or a URL", "for example localhost:8443 or https://localhost:8443/whoami")
	case !strings.EqualFold(scheme, "https"):
		return "", "", usageError(strconv.Quote(text)+" is not an https URL", "there are no certificates without TLS: https://"+rest)
	case u.User != nil:
		return "", "", usageError(strconv.Quote(u.Redacted())+" holds a user", "--cert FILE --key FILE with the client's certificate; leave the user out")
	}
	if addr = u.Host; u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), "443")
	}
	if u.EscapedPath() != "" || u.RawQuery != "" {
		path = u.RequestURI()
	}
	return addr, path, validateAddr(addr)
}

func validateAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || port == "" || strings.ContainsAny(addr, "/ ") {
		hint := "for example localhost:8443"
		if err != nil && !strings.ContainsAny(addr, ":/ []") && addr != "" {
			hint = "a port is missing: " + addr + ":443"
		}
		return usageError(strconv.Quote(addr)+" is not HOST:PORT", hint)
	}
	if n, err := strconv.Atoi(port); err == nil && (n < 1 || n > 65535) {
		return usageError(strconv.Quote(addr)+": "+port+" is not a port", "a port is 1 to 65535")
	}
	return nil
}

// validateTarget returns the error in a path that is to be sent.
func validateTarget(path string) error {
	switch {
	case path == "" || strings.ContainsAny(path, " \t\r\n"):
		return usageError(strconv.Quote(path)+" is not a path", "a path as it is sent, with escapes: /a%20b")
	case strings.Contains(path, "://"):
		return usageError(strconv.Quote(path)+" is not a path", "a path begins with a slash: "+urlPath(path))
	case path[0] != '/' && path != "*":
		return usageError(strconv.Quote(path)+" is not a path", "a path begins with a slash: /"+path)
	}
	return nil
}

// urlPath returns the path of a URL.
func urlPath(text string) string {
	if u, err := url.Parse(text); err == nil && u.EscapedPath() != "" {
		return u.EscapedPath()
	}
	return "/"
}
