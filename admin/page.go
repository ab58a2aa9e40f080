package admin

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"fmt"
	"html/template"
	"net/http"
	"sync/atomic"
	"time"
	"weak"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/adminfile"
	"github.com/mtlsguard/mtlsguard/source"
)

// Config holds the settings of New. The zero value is valid.
type Config struct {
	// Title names the program in the head of each page. "" means mtlsguard. A title in the file
	// replaces it.
	Title string
	// Refusals is how many refusals are remembered, from 100 to 10,000. 0 means 10,000. They
	// take at most 10 MiB, and are lost when the program ends.
	Refusals int
	// Certificates are clients' certificates that the program knows, for example from a folder. The page
	// uses them to find mappings by fingerprint, spki or serial whose certificate ends soon.
	Certificates []*x509.Certificate
	// Edit lets those change mappings to whom the policy allows the request. The zero value shows
	// them only, unless the file has admin: {edit: true}.
	Edit bool
	// Store is where edits are committed if the users come from the source of a fleet. nil means that source, if it
	// is a Store: a program whose source may only read gives another one here.
	Store source.Store
	// Signer signs the generations that edits make. Its key is an Ed25519 key whose public key is in
	// source.signers. nil means that edits of a fleet with signers are refused.
	Signer crypto.Signer
	// Now is the clock, as in mtlsguard.Options. nil means time.Now.
	Now func() time.Time
}

// Page is the admin page of one server. It is safe for concurrent use. Make one with New.
type Page struct {
	recorder
	config  Config
	began   time.Time // what was seen before is not known
	server  atomic.Pointer[mtlsguard.Server]
	screens map[string]*template.Template // by path
	handler http.Handler
	known   map[keptKey]*x509.Certificate
	linted  findings
	streams streams
	asking  questions // to the store of a fleet
	// comparing holds a value while generations of a fleet are compared.
	comparing chan struct{}
}

// minRefusals is the least number of refusals to remember: fewer would be gone before an operator
// looks.
const minRefusals = 100

// New returns a page without a server. The error joins all errors of the Config.
func New(c Config) (*Page, error) {
	if c.Title == "" {
		c.Title = "mtlsguard"
	}
	if c.Refusals == 0 {
		c.Refusals = maxRefusals
	}
	if c.Refusals < minRefusals || c.Refusals > maxRefusals {
		return nil, &configerror.Error{
			What: fmt.Sprintf("admin: Config.Refusals is %d", c.Refusals), Hint: fmt.Sprintf("a number from %d to %d; 0 means %d", minRefusals, maxRefusals, maxRefusals),
		}
	}
	if err := checkSigner(c.Signer); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p := &Page{config: c, began: c.Now(), known: keepCertificates(c.Certificates), asking: questions{make(chan struct{}, maxAsking), storeTime}, comparing: make(chan struct{}, 1)}
	p.callers = newRing(c.Refusals/2, maxKnownCertificates/2, maxBytes/2)
	p.strangers = newRing(c.Refusals/2, maxKnownCertificates/2, maxBytes/2)
	p.screens = parseScreens()
	p.handler = p.guarded(p.routes())
	tick(weak.Make(p))
	return p, nil
}

// Watch shows s. A later call with another server replaces it. Before the first call the
// handler answers 503.
func (p *Page) Watch(s *mtlsguard.Server) { p.server.Store(s) }

// Serve is Watch and Handler in one. Set it as mtlsguard.Options.Admin: the block admin of the
// file then names the port of the page.
func (p *Page) Serve(s *mtlsguard.Server) (http.Handler, error) {
	p.Watch(s)
	return p.Handler(), nil
}

// mayEdit reports whether the page changes mappings: Config.Edit or the block admin of the file allows
// so.
func (p *Page) mayEdit() bool { return p.config.Edit || adminfile.OfServer(p.server.Load()).Edit }

// title returns the title of the page: that of the block admin of the file, or else Config.Title.
func (p *Page) title() string {
	return cmp.Or(adminfile.OfServer(p.server.Load()).Title, p.config.Title)
}

// OnPort returns a handler that serves the page on the port of a name, and next on other ports.
func (p *Page) OnPort(name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := identity.FromContext(r.Context()); ok && id.Port == name {
			p.handler.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Handler returns the handler of the page. It expects a path from the root, and serves it only
// behind the guard of a port that identifies users: it answers 500 without an identity, and 403
// to the user Default. Which users may read, and which may change something, are rules of the
// policy.
func (p *Page) Handler() http.Handler { return p.handler }
