package admin_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"testing/fstest"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/admin"
)

// The page on the port "admin", and an API on the others.
func Example() {
	page, err := admin.New(admin.Config{Title: "orders"})
	if err != nil {
		log.Fatal(err)
	}
	server, err := mtlsguard.Open("mtlsguard.yaml", mtlsguard.Options{Observe: page.Observe, OnHandshake: page.OnHandshake})
	if err != nil {
		log.Fatal(err)
	}
	page.Watch(server)
	orders := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "an order") })
	log.Fatal(server.Serve(context.Background(), page.OnPort("admin", orders)))
}

// The policy decides who may read the page: here alice, a member of the group admins.
func ExamplePage_OnPort() {
	files := fstest.MapFS{
		"mtlsguard.yaml": {Data: []byte(`
users: users.yaml
policy: policy.csv
ports:
  - name: admin
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}
`)},
		"users.yaml": {Data: []byte(`mappings: [{id: staff, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: client-ca.pem}]`)},
		"policy.csv": {Data: []byte("p, group:admins, admin, *, /*, allow\ng, user:alice, group:admins\n")},
	}
	for _, name := range []string{"client-ca.pem", "server.pem", "server-key.pem"} {
		data, err := os.ReadFile("../testdata/pki/" + name)
		if err != nil {
			log.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: data}
	}
	page, err := admin.New(admin.Config{Title: "orders"})
	if err != nil {
		log.Fatal(err)
	}
	ready := make(chan struct{})
	server, err := mtlsguard.OpenFS(files, "mtlsguard.yaml", mtlsguard.Options{
		Observe: page.Observe, OnHandshake: page.OnHandshake, Ready: func() { close(ready) },
	})
	if err != nil {
		log.Fatal(err)
	}
	page.Watch(server)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, page.OnPort("admin", http.NotFoundHandler())) }()
	<-ready

	url := "https://" + server.Ports()[0].Addr().String() + "/api/v1/status"
	for _, name := range []string{"alice", "bob"} {
		res, err := exampleClient(name).Get(url)
		if err != nil {
			log.Fatal(err)
		}
		var status struct{ Ready bool }
		_ = json.NewDecoder(res.Body).Decode(&status)
		res.Body.Close()
		fmt.Println(name, res.Status, status.Ready)
	}
	stop()
	fmt.Println(<-ended)
	// Output:
	// alice 200 OK true
	// bob 403 Forbidden false
	// <nil>
}

func exampleClient(name string) *http.Client {
	pair, err := tls.LoadX509KeyPair("../testdata/pki/"+name+".pem", "../testdata/pki/"+name+"-key.pem")
	if err != nil {
		log.Fatal(err)
	}
	ca, err := os.ReadFile("../testdata/pki/server-ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}}
}
