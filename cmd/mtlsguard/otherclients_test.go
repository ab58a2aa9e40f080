package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// javaClient calls each URL with its keystore, and prints the answers.
const javaClient = `
import java.io.*;
import java.net.*;
import java.security.*;
import javax.net.ssl.*;

public class Client {
  public static void main(String[] args) throws Exception {
    char[] password = "secret".toCharArray();
    KeyStore trust = KeyStore.getInstance("PKCS12");
    trust.load(new FileInputStream(args[0]), password);
    TrustManagerFactory trusts = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trusts.init(trust);
    for (int i = 1; i < args.length; i += 2) {
      KeyStore keys = KeyStore.getInstance("PKCS12");
      keys.load(new FileInputStream(args[i + 1]), password);
      KeyManagerFactory managers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
      managers.init(keys, password);
      SSLContext context = SSLContext.getInstance("TLS");
      context.init(managers.getKeyManagers(), trusts.getTrustManagers(), null);
      HttpsURLConnection c = (HttpsURLConnection) new URL(args[i]).openConnection();
      c.setSSLSocketFactory(context.getSocketFactory());
      try (BufferedReader in = new BufferedReader(new InputStreamReader(c.getInputStream()))) {
        System.out.println(in.readLine());
      }
    }
  }
}
`

// check warns where Java and .NET would send no certificate. Java then sends none, and otherwise it
// sends one.
func TestCheckSaysWhatJavaWouldNotSend(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	serverCA, root, other := testpki.NewCA("Server CA"), testpki.NewCA("Root CA"), testpki.NewCA("Other CA")
	sub := root.SubCA("Sub CA")
	bare := func(p *testpki.Pair) *testpki.Pair {
		out := *p
		out.Chain = nil
		return &out
	}
	loud := testpki.NewCA("ROOT  ca") // the same name by RFC 5280 section 7.1
	key := testkit.RSAKey(t, 2048)
	rows := []struct {
		name   string
		holder *testpki.Pair
		listed []*testpki.Pair
		java   bool // whether Java sends the certificate
		want   string
		hint   string
	}{
		{"issued by a listed authority", root.Leaf("alice"), []*testpki.Pair{root}, true, "", ""},
		{"with an RSA key", root.LeafWithKey("alice", key), []*testpki.Pair{other, root}, true, "", ""},
		{"no list", root.Leaf("alice"), nil, true, "", ""},
		{"issued by another authority", root.Leaf("alice"), []*testpki.Pair{other}, false, "Java and .NET would send no certificate: the issuer CN=Root CA is not among the authorities that the server lists: CN=Other CA", "add it to the anchors of the server"},
		{"self-signed", testpki.NewCA("Alice"), []*testpki.Pair{other}, false, "Java and .NET would send no certificate: the issuer CN=Alice", "add the certificate of CN=Alice to the anchors"},
		{"by an intermediate, which is in the file", sub.Leaf("alice"), []*testpki.Pair{root}, true, ".NET would send no certificate unless the intermediate CN=Sub CA is in the system's store", "the store CertificateAuthority"},
		{"by an intermediate, which is missing", bare(sub.Leaf("alice")), []*testpki.Pair{root}, false, "Java and .NET would send no certificate: the issuer CN=Sub CA", "put that certificate after the leaf in the file of --cert"},
		{"by a listed intermediate", bare(sub.Leaf("alice")), []*testpki.Pair{sub}, true, "", ""},
		{"by a name in another case", root.Leaf("alice"), []*testpki.Pair{loud}, true, "", ""},
	}
	trust := filepath.Join(dir, "trust.p12")
	write := func(name string, data []byte, err error) string {
		t.Helper()
		if err == nil {
			err = os.WriteFile(name, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	data, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{serverCA.Cert}, "secret")
	write(trust, data, err)
	caFile := write(filepath.Join(dir, "server-ca.pem"), serverCA.CertPEM(), nil)
	arguments := []string{write(filepath.Join(dir, "Client.java"), []byte(javaClient), nil), trust}
	for i, row := range rows {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, len(r.TLS.PeerCertificates) > 0)
		}))
		s.TLS = &tls.Config{Certificates: []tls.Certificate{serverCA.Server().TLS()}, ClientAuth: tls.RequestClientCert}
		if row.listed != nil {
			s.TLS.ClientCAs = x509.NewCertPool()
			for _, p := range row.listed {
				s.TLS.ClientCAs.AddCert(p.Cert)
			}
		}
		s.StartTLS()
		t.Cleanup(s.Close)
		store := filepath.Join(dir, fmt.Sprintf("%d.p12", i))
		presented := row.holder.Presented()
		data, err := pkcs12.Modern.Encode(row.holder.Key, presented[0], presented[1:], "secret")
		write(store, data, err)
		arguments = append(arguments, s.URL, store)

		file := write(filepath.Join(dir, fmt.Sprintf("%d.pem", i)), append(row.holder.CertPEM(), row.holder.KeyPEM()...), nil)
		host, port, _ := net.SplitHostPort(s.Listener.Addr().String())
		command := []string{"check", net.JoinHostPort(host, port), "--cacert", caFile, "--cert", file}
		var out, errs bytes.Buffer
		if code := run(t.Context(), command, nil, &out, &errs); code != exitYes {
			t.Errorf("%s: status %d: %s%s", row.name, code, &out, &errs)
		}
		if got := strings.Count(out.String(), "warning: "); got != 0 != (row.want != "") || !strings.Contains(out.String(), row.want) || !strings.Contains(out.String(), row.hint) {
			t.Errorf("%s: no %q with %q in\n%s", row.name, row.want, row.hint, &out)
		}
		if none := strings.Contains(out.String(), "warning: Java"); none == row.java {
			t.Errorf("%s: says that Java sends no certificate: %t", row.name, none)
		}
		var report probeReport
		out.Reset()
		run(t.Context(), append(command, "--json"), nil, &out, &errs)
		if err := json.Unmarshal(out.Bytes(), &report); err != nil || len(report.Warnings) > 0 != (row.want != "") {
			t.Errorf("%s: got %v, %s; want the warning %q", row.name, err, &out, row.want)
		}
	}

	java := testkit.Program(t, "java", "default-jdk-headless")
	if modules, _ := exec.Command(java, "--list-modules").Output(); !bytes.Contains(modules, []byte("jdk.compiler")) {
		testkit.Skip(t, "java cannot compile; the Debian package is default-jdk-headless")
	}
	out, err := exec.CommandContext(t.Context(), java, append([]string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"}, arguments...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	answers := strings.Fields(string(out))
	for i, row := range rows {
		if i >= len(answers) || answers[i] != fmt.Sprint(row.java) {
			t.Errorf("%s: Java sends a certificate: %v", row.name, answers)
		}
	}
}

// A key of which the server takes no signature is named too.
func TestCheckSaysThatTheServerTakesNoSignatureByTheKey(t *testing.T) {
	t.Parallel()
	openssl := testkit.Program(t, "openssl", "openssl")
	dir := t.TempDir()
	ca, clients := testpki.NewCA("Server CA"), testpki.NewCA("Client CA")
	server, alice := ca.Server(), clients.Leaf("alice")
	for name, data := range map[string][]byte{
		"server.pem": append(server.CertPEM(), server.KeyPEM()...), "alice.pem": append(alice.CertPEM(), alice.KeyPEM()...), "server-ca.pem": ca.CertPEM(), "client-ca.pem": clients.CertPEM(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := exec.CommandContext(t.Context(), openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key", "server.pem",
		"-verify", "1", "-CAfile", "client-ca.pem", "-client_sigalgs", "RSA-PSS+SHA256", "-www")
	program.Dir = dir
	stdout, err := program.StdoutPipe()
	if err == nil {
		err = program.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	addr := ""
	for lines := bufio.NewScanner(stdout); addr == "" && lines.Scan(); {
		addr, _ = strings.CutPrefix(lines.Text(), "ACCEPT ")
		if !strings.HasPrefix(lines.Text(), "ACCEPT ") {
			addr = ""
		}
	}
	var out, errs bytes.Buffer
	run(t.Context(), []string{"check", addr, "--cacert", filepath.Join(dir, "server-ca.pem"), "--cert", filepath.Join(dir, "alice.pem")}, nil, &out, &errs)
	if !strings.Contains(out.String(), "\nwarning: Java and .NET would send no certificate: the server takes no signature by its key: ") || !strings.Contains(out.String(), "\nhint: use a certificate with a key of another type") {
		t.Errorf("got %s%s, want the warning about Java and .NET with its hint", &out, &errs)
	}
}
