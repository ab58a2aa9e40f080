package guardspiffe

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/outbound"
)

// ID returns the SPIFFE ID of the current SVID.
func (s *Source) ID() string { return s.current.Load().id }

// GetCertificate returns the current SVID, for Options.Certificates and ports.Config.Certificate.
// The error of an SVID that has expired ends the handshake: no client would accept it.
func (s *Source) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	m := s.current.Load()
	if s.config.Now().After(m.notAfter) {
		why := ""
		if failed := s.failed.Load(); failed != nil {
			why = ": " + (*failed).Error()
		}
		return nil, fmt.Errorf("SPIFFE: the SVID %s has expired at %s, and the Workload API at %q sent no newer one%s", m.id, m.notAfter.UTC().Format(time.RFC3339), s.config.Addr, why)
	}
	return m.certificate, nil
}

// Keystore returns a keystore with the current SVID as its one credential, for outgoing calls.
// Calls that begin after a renewal present the new SVID, on connections of their own. With
// origins, calls to any other origin fail; see outbound.NewCredential.
func (s *Source) Keystore(alias string, origins ...string) outbound.Keystore {
	return &keystore{source: s, alias: alias, origins: origins}
}

type keystore struct {
	source  *Source
	alias   string
	origins []string
	last    atomic.Pointer[credential]
}

// credential is what was made of one update.
type credential struct {
	of    *tls.Certificate
	value *outbound.Credential
	err   error
}

// Credential implements outbound.Keystore. The Transport checks the dates.
func (k *keystore) Credential(alias string) (*outbound.Credential, error) {
	if alias != k.alias {
		return nil, outbound.ErrUnknownAlias
	}
	svid := k.source.current.Load().certificate
	last := k.last.Load()
	if last == nil || last.of != svid {
		last = &credential{of: svid}
		last.value, last.err = outbound.NewCredential(alias, *svid, k.origins...)
		k.last.Store(last)
	}
	return last.value, last.err
}
