package site

import (
	"crypto/ed25519"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/trust"
	"github.com/mtlsguard/mtlsguard/trust/ocsp"
)

// Generation is one loaded configuration. It is immutable.
type Generation struct {
	Files    *fileset.Reader
	Reload   time.Duration
	Ports    []Port
	Tunnel   *Tunnel // nil: no gateway is dialled
	Users    string  // the file or folder of users; empty: there is none
	Policy   string  // the file or folder of the policy; empty: there is none
	Table    *certmap.Table
	Engine   *policy.Engine
	Quotas   []middleware.Quota
	Source   *Source            // nil: all files are on disk
	Admin    *config.Admin      // nil: there is no admin page
	Metrics  *config.Page       // nil: there are no metrics
	Fleet    *source.Generation // the files below the mount of Source; nil: there are none
	Warnings []configerror.Finding
	Tokens   *config.Tokens     // nil: no header is signed
	TokenKey ed25519.PrivateKey // nil: the server's own
	endings  []ending
	pages    []config.Page // all of them
	kept     kept
	Parsed   map[string]int // how often files of mappings ("users"), and each kind of kept value, were parsed for it
}

// Port is one port of a Generation, or the tunnels to gateways as one.
type Port struct {
	Line              int                  // in mtlsguard.yaml
	Registration      *config.Registration // nil where servers do not register
	Tunnel            *config.Tunnel       // nil where the handler is here
	Decision          *config.Decision     // nil where requests are served
	Config            ports.Config
	Guard             middleware.PortConfig
	LimitsInFile      ports.Limits      // 0 where the file leaves the default
	Gateways          *Gateways         // nil: there are none
	Upstream          Upstream          // the service behind the port, which Guard.Handler forwards to
	CertificateDigest [sha256.Size]byte // of the files of the certificate and its key
	certificateFile   string
	clients           Trust // of connections
	gateways          Trust // of connections too, if clients has no verifier
	users             Trust // of forwarded certificates
}

// Same reports whether an open port needs no change.
func (p Port) Same(q Port) bool {
	return p.clients.key == q.clients.key && p.Config.Trust == q.Config.Trust && p.CertificateDigest == q.CertificateDigest &&
		p.Config.Limits == q.Config.Limits && p.Config.MinVersion == q.Config.MinVersion && p.Config.CancelRequests == q.Config.CancelRequests &&
		p.Config.Addresses.Equal(q.Config.Addresses) && slices.Equal(p.Config.ProxyProtocolFrom, q.Config.ProxyProtocolFrom)
}

// Trust is a verifier, the digest of its sources, and what renews its CRLs. The zero value
// stands for a port without one.
type Trust struct {
	Verifier *trust.Verifier
	key      [sha256.Size]byte
	fetch    []crlfetch.Source
	asks     responder
	files    trustFiles
	names    trustFiles // as the configuration names them
	profile  trust.Profile
	where    string // such as "port internal, forwarded"
	line     int    // in mtlsguard.yaml
	off      bool   // the configuration has revocation: off
}

// trustFiles maps the anchors and CRLs of a Trust to the files that hold them.
type trustFiles map[string]string // by the DER of the anchor, or the signature of the list

// Trusts returns those that the port has.
func (p *Port) Trusts() []*Trust {
	return slices.DeleteFunc([]*Trust{&p.clients, &p.gateways, &p.users}, func(t *Trust) bool { return t.Verifier == nil })
}

// responder is an OCSP client, and the settings that it was made from. A reload keeps the
// client and its cached responses: otherwise every reload would ask about every certificate
// again, and all of them would be refused while the responder is down.
type responder struct {
	client   *ocsp.Client
	url      string
	madeFrom string
}

// Sources returns the CRLs to renew.
func (p *Port) Sources() []crlfetch.Source {
	return slices.Concat(p.clients.fetch, p.gateways.fetch, p.users.fetch)
}

// FreshUntil returns the earliest next update of a port's CRLs; zero where none is needed.
func (p *Port) FreshUntil() (earliest time.Time) {
	for _, t := range p.Trusts() {
		if until := trustaccess.CRLsFreshUntil(t.Verifier); !until.IsZero() && (earliest.IsZero() || until.Before(earliest)) {
			earliest = until
		}
	}
	return earliest
}
