package ports

import (
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// maxRequested bounds the CA names in a text.
const maxRequested = 5

// requested returns a text that names the CAs that a port sends in its certificate request
// (RFC 8446 section 4.2.4). Many clients choose their certificate by them.
func requested(c *Config) string {
	switch {
	case c.ClientAuth == None:
		return "the port requests no certificate"
	case c.Trust == nil || c.HideAuthorities:
		return "the port requests a certificate and names no CA"
	}
	anchors := c.Trust.Anchors()
	names := make([]string, 0, maxRequested)
	for _, a := range anchors[:min(len(anchors), maxRequested)] {
		names = append(names, escape.Quote(a.Subject.String(), escape.Short))
	}
	more := ""
	if n := len(anchors) - maxRequested; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return "the port requests a certificate of " + strings.Join(names, ", ") + more
}
