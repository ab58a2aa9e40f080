package mtlsguard_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
)

const exampleConfig = `
users: users.yaml
policy: policy.csv
ports:
  - name: internal
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: PKI/server.pem, key: PKI/server-key.pem}
    trust: {anchors: [PKI/client-ca.pem]}
`

const exampleUsers = `
mappings:
  - {id: staff, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: PKI/client-ca.pem}
`

const examplePolicy = `
p, group:staff, internal, GET, /orders/*, allow
g, user:alice, group:staff
`

// One file configures a whole service: the trusted clients, their users and their rights.
func ExampleOpen() {
	dir, done := exampleFiles(map[string]string{"mtlsguard.yaml": exampleConfig, "users.yaml": exampleUsers, "policy.csv": examplePolicy})
	defer done()

	ready := make(chan struct{})
	server, err := mtlsguard.Open(filepath.Join(dir, "mtlsguard.yaml"), mtlsguard.Options{Ready: func() { close(ready) }})
	if err != nil {
		for _, m := range configerror.All(err) {
			fmt.Printf("error: %s: %s\nhint: %s\n", m.Position(), m.What, m.Hint)
		}
		return
	}
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		fmt.Fprintf(w, "%s reads %s", id.User, r.URL.Path)
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- server.Serve(ctx, orders) }()
	<-ready

	url := "https://" + server.Ports()[0].Addr().String()
	for _, name := range []string{"alice", "bob", "expired"} {
		res, err := exampleClient(name).Get(url + "/orders/7")
		if err != nil {
			fmt.Println(name, "is refused by the handshake")
			continue
		}
		body, _ := io.ReadAll(res.Body)
		fmt.Println(name, res.StatusCode, strings.SplitN(string(body), `","`, 2)[0])
	}
	stop()
	fmt.Println("ended:", <-ended)

	// Output:
	// alice 200 alice reads /orders/7
	// bob 403 {"type":"https://github.com/mtlsguard/mtlsguard/blob/main/docs/reasons.md#no-rule
	// expired is refused by the handshake
	// ended: <nil>
}

// exampleFiles writes files that use the test certificates of this repository.
func exampleFiles(files map[string]string) (dir string, done func()) {
	dir, err := os.MkdirTemp("", "mtlsguard")
	if err != nil {
		log.Fatal(err)
	}
	pki, err := filepath.Abs("testdata/pki")
	if err != nil {
		log.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(content, "PKI", pki)), 0o600); err != nil {
			log.Fatal(err)
		}
	}
	return dir, func() { os.RemoveAll(dir) }
}

func exampleClient(name string) *http.Client {
	cert, err := tls.LoadX509KeyPair("testdata/pki/"+name+".pem", "testdata/pki/"+name+"-key.pem")
	if err != nil {
		log.Fatal(err)
	}
	ca, err := os.ReadFile("testdata/pki/server-ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}}}}
}
