package trust

import (
	"crypto/x509"

	"github.com/mtlsguard/mtlsguard/internal/trustaccess/hook"
)

// warn adds a warning about configuration that loads and is probably not intended.
func (v *Verifier) warn(what, hint string) { v.warnAnchor(nil, what, hint) }

// warnAnchor adds a warning about an anchor.
func (v *Verifier) warnAnchor(a *x509.Certificate, what, hint string) {
	v.warnings = append(v.warnings, hook.Warning{What: what, Hint: hint, Anchor: a})
}
