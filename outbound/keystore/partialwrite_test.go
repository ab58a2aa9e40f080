package keystore_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/outbound/keystore"
)

// keyFirst returns key, certificate and intermediates in this order, in which the first part of
// the file is a credential too.
func keyFirst(p *testpki.Pair) []byte { return append(p.KeyPEM(), p.CertPEM()...) }

// splitBlocks returns a file's PEM blocks, each in two parts.
func splitBlocks(data []byte) (out [][]byte) {
	for len(data) > 0 {
		end := bytes.Index(data, []byte("-----END"))
		end += bytes.IndexByte(data[end:], '\n') + 1
		out = append(out, data[:end/2], data[end/2:end])
		data = data[end:]
	}
	return out
}

// writeInPieces overwrites a file in pieces.
func writeInPieces(t *testing.T, path string, data []byte, pause time.Duration) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	for _, p := range splitBlocks(data) {
		time.Sleep(pause)
		f.Write(p)
	}
}

// A credential that is written in pieces is used when it is complete: no call is refused
// because an intermediate is missing. Covers J15.
func TestPartlyWrittenFileFailsNoCall(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.TLS.PeerCertificates[0].SerialNumber.String())
	}))
	own := ca.Server().TLS()
	server.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)

	for name, row := range map[string]struct {
		separate bool
		pause    time.Duration
	}{"one file": {false, 60 * time.Millisecond}, "one file, slowly": {false, 200 * time.Millisecond}, "two files": {true, 100 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			first := sub.Leaf("alice")
			e := keystore.Entry{Alias: "a", File: filepath.Join(dir, "a.pem")}
			writeFile(t, dir, "a.pem", keyFirst(first))
			if row.separate {
				writeFile(t, dir, "a.pem", first.CertPEM())
				e.Key = writeFile(t, dir, "key.pem", first.KeyPEM())
			}
			keys, err := keystore.NewFiles(keystore.FilesConfig{Entries: []keystore.Entry{e}})
			if err != nil {
				t.Fatal(err)
			}
			transport, err := outbound.New(outbound.Config{Keystore: keys, Roots: ca.Pool(), Base: &http.Transport{DisableKeepAlives: true}})
			if err != nil {
				t.Fatal(err)
			}
			defer transport.Close()
			client := &http.Client{Transport: transport, Timeout: testkit.Patience}
			call := func() string {
				r, _ := http.NewRequestWithContext(outbound.As(t.Context(), "a"), "GET", server.URL, nil)
				res, err := client.Do(r)
				if err != nil {
					t.Errorf("refused: %v", err)
					return ""
				}
				defer res.Body.Close()
				body, _ := io.ReadAll(res.Body)
				return string(body)
			}

			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go keys.Watch(ctx, time.Second, nil)
			go func() { // watches the files
				for ctx.Err() == nil {
					_ = keys.Reload()
					time.Sleep(20 * time.Millisecond)
				}
			}()
			last := sub.Leaf("alice")
			var written atomic.Bool
			go func() {
				defer written.Store(true)
				writeInPieces(t, e.File, certificates(row.separate, last), row.pause)
				if row.separate {
					writeInPieces(t, e.Key, last.KeyPEM(), row.pause)
				}
			}()
			for end := time.Now().Add(testkit.Patience); ; time.Sleep(10 * time.Millisecond) {
				if got := call(); written.Load() && got == last.Cert.SerialNumber.String() || t.Failed() {
					break
				}
				if time.Now().After(end) {
					t.Fatal("the new credential was not loaded")
				}
			}
		})
	}
}

func certificates(separate bool, p *testpki.Pair) []byte {
	if separate {
		return p.CertPEM()
	}
	return keyFirst(p)
}
