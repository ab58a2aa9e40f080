package ports

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/keypair"
)

// Static returns a function for Config.Certificate that always returns one certificate.
func Static(cert tls.Certificate) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(cert.Certificate) == 0 || cert.PrivateKey == nil {
		err := errors.New("ports: the certificate of Static has no chain or no key")
		return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, err }
	}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }
}

// Files returns a function for Config.Certificate that returns the certificate of a PEM file,
// with its intermediates, and the key of another. Both may be one file. The error names what is
// wrong with the files now.
//
// At most once a second, a handshake looks whether the content of the files has changed. New
// content takes effect when it is two seconds old and when certificate and key belong together.
// Until then, and while a file is wrong, the last good pair stays in effect; after 30 s that is
// logged as an error, once, with slog.Default.
func Files(cert, key string) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	f := &pairFiles{cert: cert, key: key, now: time.Now}
	if err := f.load(fileset.New(nil)); err != nil {
		return nil, err
	}
	f.looked.Store(f.now().UnixNano())
	return f.certificate, nil
}

const (
	lookEvery  = time.Second
	settleTime = 2 * time.Second  // a younger file may still be being written
	renewTime  = 30 * time.Second // from one file's renewal to the other's
)

// pairFiles is a certificate and its key in files.
type pairFiles struct {
	cert, key string
	now       func() time.Time
	pair      atomic.Pointer[tls.Certificate] // the last good one
	looked    atomic.Int64                    // when a handshake has looked last, in ns

	looking sync.Mutex      // guards the fields below
	reader  *fileset.Reader // of pair
	failed  string          // why the files cannot take effect; "" if they can
	since   time.Time       // when that began
	logged  bool
}

// certificate is called in handshakes: one at a time looks at the files, and the others do not
// wait for it.
func (f *pairFiles) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	now := f.now()
	if now.UnixNano()-f.looked.Load() >= int64(lookEvery) && f.looking.TryLock() {
		f.look(now)
		f.looked.Store(now.UnixNano())
		f.looking.Unlock()
	}
	return f.pair.Load(), nil
}

// look takes the content of the files if it has changed, is no longer being written, and is
// good.
func (f *pairFiles) look(now time.Time) {
	if !f.reader.Changed() {
		f.failed = ""
		return
	}
	if f.isYoung(now) {
		return
	}
	err := f.load(f.reader.Next(false))
	if err == nil {
		f.failed = ""
		return
	}
	if f.failed == "" {
		f.since, f.logged = now, false
	}
	f.failed = err.Error()
	if !f.logged && now.Sub(f.since) >= renewTime {
		f.logged = true
		slog.Error("the certificate of a port is not renewed, the last good one stays in effect", slog.String("error", f.failed))
	}
}

// isYoung reports whether one of the files was written just now.
func (f *pairFiles) isYoung(now time.Time) bool {
	for _, name := range []string{f.cert, f.key} {
		if info, err := os.Stat(name); err == nil {
			if age := now.Sub(info.ModTime()); age >= 0 && age < settleTime {
				return true
			}
		}
	}
	return false
}

// load reads both files.
func (f *pairFiles) load(r *fileset.Reader) error {
	var wrong errorlist.List
	get := func(name string) []byte {
		data, err := r.Get(name)
		if err != nil {
			what := strings.TrimPrefix(err.Error(), name+" ") // "cannot be read: …"
			wrong.Add(configerror.Error{File: name, What: what, Hint: "check the name: it is relative to the working directory"})
		}
		return data
	}
	certPEM, keyPEM := get(f.cert), get(f.key)
	if err := wrong.Err(); err != nil {
		return err
	}
	pair, _, err := keypair.Read("", f.cert, f.key, certPEM, keyPEM)
	if err != nil {
		return err
	}
	r.Read.Drop() // the key is in memory once
	f.pair.Store(pair)
	f.reader = r
	return nil
}
