package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

const pin = "1234"

// newToken makes an empty SoftHSM token, and works in a folder of its own with the configuration of
// the example.
func newToken(t *testing.T) {
	util := testkit.Program(t, "softhsm2-util", "softhsm2")
	folder := t.TempDir()
	if err := os.CopyFS(filepath.Join(folder, "config"), os.DirFS("config")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(folder)
	t.Setenv("SOFTHSM2_CONF", filepath.Join(folder, "softhsm2.conf"))
	t.Setenv("PKCS11_PIN", pin)
	if err := os.Mkdir("tokens", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("softhsm2.conf", []byte("directories.tokendir = "+folder+"/tokens\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(util, "--init-token", "--free", "--label", "orders", "--pin", pin, "--so-pin", "4321").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// listening returns options for a server, and its address.
func listening() (mtlsguard.Options, <-chan string) {
	addr := make(chan string, 1)
	return mtlsguard.Options{Listen: func(context.Context, string, string) (net.Listener, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err == nil {
			addr <- fmt.Sprintf("https://localhost:%d", l.Addr().(*net.TCPAddr).Port)
		}
		return l, err
	}}, addr
}

// Server and client have their keys in a token, and nowhere else.
func TestKeysStayInTheToken(t *testing.T) {
	newToken(t)
	if err := run(t.Context(), []string{"keys"}, mtlsguard.Options{}, nil); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("pki/*")
	if err != nil || len(files) != 3 {
		t.Errorf("got %v, %v", files, err)
	}
	for _, name := range files {
		if data, _ := os.ReadFile(name); bytes.Contains(data, []byte("PRIVATE")) {
			t.Errorf("%s has a private key", name)
		}
	}
	token, err := openToken()
	if err != nil {
		t.Fatal(err)
	}
	defer token.Close()
	ctx, stop := context.WithCancel(t.Context())
	options, addr := listening()
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, token, options) }()
	var url string
	select {
	case url = <-addr:
	case err := <-ended:
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/orders/7": "200 OK\nhello billing\n", "/other": "403 Forbidden\n"} {
		var out strings.Builder
		if err := call(ctx, token, url+path, &out); err != nil || !strings.HasPrefix(out.String(), want) {
			t.Errorf("%s: got %q, %v; want %v", path, out.String(), err, want)
		}
	}
	key, err := token.key("server")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x509.MarshalPKCS8PrivateKey(key); err == nil {
		t.Error("the key can be read")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Errors say which token, key or variable is wrong.
func TestErrorsNameTheToken(t *testing.T) {
	newToken(t)
	for want, row := range map[string]struct{ name, value string }{
		"PKCS11_PIN":                     {"PKCS11_PIN", "9"},
		`the token "none"`:               {"PKCS11_TOKEN", "none"},
		"none.so":                        {"PKCS11_MODULE", "/none.so"},
		`the key with the label "server`: {"PKCS11_PIN", pin},
	} {
		t.Run(want, func(t *testing.T) {
			t.Setenv(row.name, row.value)
			if err := run(t.Context(), []string{"serve"}, mtlsguard.Options{}, nil); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
	for _, arguments := range [][]string{nil, {"key"}} {
		if err := run(t.Context(), arguments, mtlsguard.Options{}, nil); err == nil {
			t.Errorf("%v is accepted", arguments)
		}
	}
}
