package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// The command and the admin page of a running server add mappings to one file at the same time,
// and none is lost: the command waits for the lock, and the page answers 412 to an editor whom
// the command has overtaken.
// Covers W10.
func TestCommandBesideTheAdminPage(t *testing.T) {
	const each = 6
	dir := t.TempDir()
	if err := writeSite(dir); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	put(t, "policy.csv", sitePolicy+"p, user:alice, internal, *, /*, allow\n")
	page, err := admin.New(admin.Config{Edit: true})
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	server, err := mtlsguard.Open(filepath.Join(dir, "mtlsguard.yaml"), mtlsguard.Options{Ready: func() { close(ready) }})
	if err != nil {
		t.Fatal(err)
	}
	page.Watch(server)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, page.Handler()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-ready
	api := ""
	for _, p := range server.Ports() {
		if p.Name() == "internal" {
			api = "https://" + p.Addr().String() + "/api/v1/mappings"
		}
	}
	pair, err := tls.LoadX509KeyPair("alice.pem", "alice-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}}, Timeout: testkit.Patience}
	defer client.CloseIdleConnections()
	send := func(method, etag string, body []byte) (int, string, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, api, bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0, "", ""
		}
		r.Header.Set("If-Match", etag)
		answer, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return 0, "", ""
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Error(err)
		}
		return answer.StatusCode, answer.Header.Get("ETag"), string(text)
	}
	ca := testpki.NewCA("Partner CA")
	var all sync.WaitGroup
	for i := range each {
		put(t, fmt.Sprintf("partner%d.pem", i), string(ca.Leaf(fmt.Sprint("partner", i)).CertPEM()))
		all.Go(func() {
			if code, out, errs := runLine(t, fmt.Sprintf("users add --config mtlsguard.yaml --cert partner%d.pem --user command%d", i, i)); code != exitYes {
				t.Errorf("got status %d: %s%s, want 0", code, out, errs)
			}
		})
		body, err := json.Marshal(map[string]string{"user": fmt.Sprintf("page%d", i), "certificate_pem": string(ca.Leaf(fmt.Sprint("page", i)).CertPEM())})
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for range 100 {
				_, etag, _ := send("GET", "", nil)
				switch code, _, text := send("POST", etag, body); code {
				case http.StatusOK:
					return
				case http.StatusPreconditionFailed: // the command was faster
				default:
					t.Errorf("got %d %s, want 200 or 412", code, text)
					return
				}
			}
			t.Errorf("editor %d never won", i)
		})
	}
	all.Wait()
	users := read(t, "users.yaml")
	for i := range each {
		for _, by := range []string{"command", "page"} {
			if user := fmt.Sprintf("user: %s%d,", by, i); strings.Count(users, user) != 1 {
				t.Errorf("%q is %d times in the file", user, strings.Count(users, user))
			}
		}
	}
	if err := server.Reload(); err != nil {
		t.Error(err)
	}
	if _, _, text := send("GET", "", nil); strings.Count(text, `"user": "command`) != each || strings.Count(text, `"user": "page`) != each {
		t.Errorf("not all are in effect: %s", text)
	}
}
