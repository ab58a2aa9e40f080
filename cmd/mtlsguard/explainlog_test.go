package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Each row sends a request to a running server, and explains the line of its log, found by
// reference or by fingerprint, without a certificate file. The reason is that of the server,
// and the pasted hint changes the result of explain with the certificate.
func TestLineOfALogIsExplainedWithoutTheCertificate(t *testing.T) {
	for _, row := range []struct {
		name, port, cert, method, path string
		users                          string // keys for the mapping of orders-api
		reason                         string
		find                           string // text of the hint
		file                           string // the name in the place of ISSUER.pem
		after                          string // the reason after the hint was followed; "" is allowed
	}{
		{"one line of policy", "internal", "ed25519", "GET", "/orders/7", "", "no-rule", "exactly this request", "", ""},
		{"a membership", "internal", "ed25519", "GET", "/orders/7", "", "no-rule", "for group staff", "", ""},
		{"a deny rule", "internal", "bob", "GET", "/orders/7", "", "denied", "policy.csv:5 denies the request", "", "denied"},
		{"a mapping", "internal", "stranger", "GET", "/whoami", "", "unmapped", "map the certificate to a user", "", ""},
		{"a disabled mapping", "internal", "orders", "GET", "/orders/7", "disabled: true", "unmapped", "users.yaml:4 disables orders", "", ""},
		{"an ended mapping", "internal", "orders", "GET", "/orders/7", "not_after: 2025-01-01", "mapping-expired", "mapping orders was valid until 2025-01-01", "", "mapping-expired"},
		{"an anchor", "internal", "partner", "GET", "/whoami", "", "unknown-authority", "to trust the issuer", "partner-ca.pem", "unmapped"},
		{"an anchor's name", "internal", "untrusted", "GET", "/whoami", "", "unknown-authority", "an anchor has the issuer's name", "", "unknown-authority"},
		{"a profile", "internal", "no-eku", "GET", "/whoami", "", "wrong-usage", "profile compatible", "", ""},
		{"an expired certificate", "internal", "expired", "GET", "/whoami", "", "expired", "the client needs another certificate", "", "expired"},
		{"no certificate in the handshake", "internal", "", "GET", "/whoami", "", "no-certificate", "the client must send a certificate", "", "no-certificate"},
		{"no certificate", "partner", "", "GET", "/whoami", "", "no-certificate", "the user Default", "", "no-rule"},
		{"Default", "public", "", "DELETE", "/x", "", "no-rule", "exactly this request", "", ""},
		{"a method", "internal", "alice", "PROPFIND", "/orders/7", "", "ambiguous-path", "the methods of the port", "", "no-rule"},
	} {
		t.Run(row.name, func(t *testing.T) {
			site := serveLogged(t)
			if row.users != "" {
				replace(t, "users.yaml", "user: orders-api,=>user: orders-api, "+row.users+",")
				site.reload()
			}
			site.request("internal", "alice", "GET", "/whoami") // other lines do not disturb
			reference := site.request(row.port, row.cert, row.method, row.path)
			site.request("internal", "alice", "GET", "/whoami")
			from := []string{"--log", "server.log", "--reference", reference}
			if reference == "" && row.cert != "" {
				from = []string{"--log", "server.log", "--fingerprint", fingerprint(t, row.cert)}
			} else if reference == "" {
				from = []string{"--log", "server.log", "--refused"}
			}
			x := explainRequest(t, from)
			if string(x.Reason) != row.reason || x.Log == nil || x.Log.Changed {
				t.Fatalf("%+v, want the reason %s", x, row.reason)
			}
			if decided := row.cert == ""; decided != (len(x.Undecided) == 0) {
				t.Errorf("undecided: %q", x.Undecided)
			}
			at := slices.IndexFunc(x.Hints, func(h hint) bool { return strings.Contains(h.Text, row.find) })
			if at < 0 {
				t.Fatalf("no hint has %q: %+v", row.find, x.Hints)
			}
			for _, h := range x.Hints {
				if row.users != "" && strings.Contains(h.Command, "users add") {
					t.Errorf("the hint goes around the mapping: %+v", h)
				}
			}
			h := x.Hints[at]
			h.Write = strings.Replace(h.Write, "ISSUER.pem", row.file, 1)
			if h.Write+h.Command != "" && !strings.Contains(h.Command, "HOST:PORT") && !strings.Contains(h.Command, "NEW.pem") {
				paste(t, h)
			}
			request := []string{"--port", row.port, row.method, row.path}
			if row.cert != "" {
				request = append(request, "--cert", row.cert+".pem")
			}
			if after := explainRequest(t, request); string(after.Reason) != row.after {
				t.Errorf("the reason afterwards is %q %s, want %q", after.Reason, after.Detail, row.after)
			}
			// With the certificate's file the same line is explained in full. A line about a
			// handshake names no request.
			if row.cert != "" && (x.Log.Event == "decision" || row.after != "") {
				if full := explainRequest(t, append(from, "--cert", row.cert+".pem")); string(full.Reason) != row.after || len(full.Undecided) > 1 {
					t.Errorf("with the certificate: %+v, want %q", full, row.after)
				}
			}
		})
	}
}

// The answer is the decision by the current files, not that of the line; the difference is
// reported.
func TestLineOfALogIsDecidedAgainByTheCurrentFiles(t *testing.T) {
	site := serveLogged(t)
	site.request("internal", "orders", "GET", "/orders/7")
	print := []string{"--log", "server.log", "--fingerprint", fingerprint(t, "orders")}
	if x := explainRequest(t, print); !x.Allowed || x.User != "orders-api" || x.Log.Changed {
		t.Fatalf("got %+v, want orders-api, allowed", x)
	}
	if code, out, _ := runLine(t, "explain --config mtlsguard.yaml --log server.log --user orders-api"); code != exitYes || !strings.HasPrefix(out, "allowed, if the certificate is still trusted and mapped: GET /orders/7 on port internal, as user orders-api\nby policy.csv:6: ") {
		t.Errorf("status %d\n%s", code, out)
	}
	// The mapping is disabled: the line's mapping refuses.
	if code, _, errs := runLine(t, "users disable --config mtlsguard.yaml orders-api"); code != exitYes {
		t.Fatal(errs)
	}
	x := explainRequest(t, print)
	if x.Allowed || x.Reason != "unmapped" || !x.Log.Changed || len(x.Hints) == 0 || !strings.Contains(x.Hints[0].Command, "users enable") {
		t.Errorf("disabled: %+v", x)
	}
	// A mapping by fingerprint comes first. The command refuses to add it: write it by hand.
	replace(t, "users.yaml", "  # the people=>  - {id: again, user: somebody, fingerprint: \"sha256:"+fingerprint(t, "orders")+"\"}")
	if x := explainRequest(t, print); x.Reason != "no-rule" || x.User != "somebody" {
		t.Errorf("by fingerprint: %+v", x)
	}
	// A mapping by key comes after it, and decides alone when the other is gone; a disabled one refuses.
	entry, err := readClientEntry("orders.pem", certfile.Passwords{})
	if err != nil {
		t.Fatal(err)
	}
	reference := site.request("internal", "orders", "GET", "/nothing") // a refusal has the key
	line := []string{"--log", "server.log", "--reference", reference}
	for _, row := range []struct{ mappings, user, reason string }{
		{"  - {id: key, user: by-key, spki: \"" + trust.SPKIOf(entry.Chain[0]).String() + "\"}\n  - {id: print, user: by-print, fingerprint: \"" + fingerprint(t, "orders") + "\"}\n", "by-print", "no-rule"},
		{"  - {id: key, user: by-key, spki: \"" + trust.SPKIOf(entry.Chain[0]).String() + "\"}\n", "by-key", "no-rule"},
		{"  - {id: key, user: by-key, spki: \"" + trust.SPKIOf(entry.Chain[0]).String() + "\"}\n  - {id: print, user: by-print, disabled: true, fingerprint: \"" + fingerprint(t, "orders") + "\"}\n", "", "unmapped"},
	} {
		put(t, "users.yaml", "mappings:\n"+row.mappings)
		x, full := explainRequest(t, line), explainRequest(t, append(line, "--cert", "orders.pem"))
		if x.User != row.user || string(x.Reason) != row.reason || full.User != x.User || full.Reason != x.Reason {
			t.Errorf("%s\n%+v\nwith the certificate\n%+v", row.mappings, x, full)
		}
	}
	// The mapping is gone.
	put(t, "users.yaml", "mappings: []\n")
	if x := explainRequest(t, print); x.Allowed || x.Reason != "unmapped" || !slices.ContainsFunc(x.Undecided, func(s string) bool { return strings.Contains(s, "the line's mapping orders no longer applies") }) {
		t.Errorf("gone: %+v", x)
	}
}

// Of several lines the newest is explained; the command reports how many there are, skips
// what is not the server's, and reads a pipe.
func TestNewestLineOfALogIsExplained(t *testing.T) {
	site := serveLogged(t)
	for _, path := range []string{"/orders/1", "/orders/2", "/whoami"} {
		site.request("internal", "bob", "GET", path)
	}
	text := "ready\n" + `{"level":"INFO","user":"bob","msg":"of the program"}` + "\n" + `{"user":7}` + "\n" + strings.Repeat("x", maxLogLine+10) + "\n" + site.text()
	put(t, "server.log", text)
	explained := func(args string, want ...string) {
		t.Helper()
		in, err := os.Open("server.log")
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		var out, errs testkit.Buffer
		if code := run(t.Context(), append([]string{"explain", "--config", "mtlsguard.yaml"}, strings.Fields(args)...), in, &out, &errs); code == exitInvalid {
			t.Fatalf("explain %s: %s", args, errs.String())
		}
		for _, text := range want {
			if !strings.Contains(out.String(), text) {
				t.Errorf("%s\n%s\nwant %q", args, out.String(), text)
			}
		}
	}
	explained("--log server.log --user bob", "GET /whoami on port internal, as user bob", "the newest of 3 lines, of which 2 are refusals", "--refused explains the newest refusal")
	explained("--log server.log --user bob --refused", "\n  the newest of 2 refusals\n")
	explained("--log - --user bob --refused", "refused, 403 denied: GET /orders/2 on port internal, as user bob\nby policy.csv:5: ", "log -:")
	explained("--log server.log --fingerprint sha256:"+strings.ToUpper(fingerprint(t, "bob")), "GET /whoami")
}

// Wrong command lines of explain --log are answered with the remedy.
func TestWrongUseOfALogIsAnsweredWithTheRemedy(t *testing.T) {
	site := serveLogged(t)
	reference := site.request("internal", "bob", "GET", "/orders/1")
	put(t, "prefixed.log", strings.ReplaceAll(site.text(), `{"time"`, `Jan 31 08:00:00 host server[1]: {"time"`))
	for _, row := range []struct{ args, err, hint string }{
		{"--log server.log", "--log needs the line", "--reference"},
		{"--log server.log --reference nothing", "server.log: no line about a request matches", "mtlsguard log server.log --refused"},
		{"--log prefixed.log --reference " + reference, "no line about a request matches", "journalctl -o cat"},
		{"--log nothing.log --user bob", "the log cannot be read", "standard error goes"},
		{"--log server.log --user bob --port internal GET /x", "--log takes port, method and path from the log", "leave out --port"},
		{"--user bob --port internal GET /x", "need --log", "--log FILE"},
		{"--log server.log --user bob --cert alice.pem", "alice.pem: this is not the certificate of server.log:", fingerprint(t, "bob")},
		{"--log server.log --user bob --host localhost:1", "--host with --log needs the certificate", "--cert"},
		{"--cert bob.pem", "missing: --port=NAME, METHOD, PATH", "--log FILE --reference ID"},
	} {
		code, out, errs := runLine(t, "explain --config mtlsguard.yaml "+row.args)
		if code != exitInvalid || out != "" || !strings.Contains(errs, row.err) || !strings.Contains(errs, row.hint) {
			t.Errorf("%s: status %d\n%s%s\nwant %q, %q", row.args, code, out, errs, row.err, row.hint)
		}
	}
}

// The line of a handshake is explained with its reason once, and the first hint is the change
// that refuses no other request: another port is meant, or the list that is there has ended.
func TestFirstHintForALineIsTheSmallestChange(t *testing.T) {
	const trust = "trust: {anchors: [client-ca.pem]}"
	for _, row := range []struct {
		name, change, cert, reason string
		want                       []string // parts of the first hint
	}{
		{"another port trusts the issuer", trust + "=>" + trust, "partner", "unknown-authority", []string{"port partner trusts the issuer CN=Partner CA,O=Partner, and port internal does not", "calls the wrong port"}},
		{"the CRL has ended", trust + "=>trust: {anchors: [client-ca.pem], crls: [client-ca-stale.crl]}", "alice", "revocation-unknown", []string{"a CRL of the issuer is there, at client-ca-stale.crl:1", "Put the issuer's newest CRL in its place"}},
		{"the certificate has ended", trust + "=>" + trust, "expired", "expired", []string{"the client needs another certificate"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			site := serveLogged(t, row.change)
			site.request("internal", row.cert, "GET", "/whoami")
			lines := []string{"--log", "server.log", "--fingerprint", fingerprint(t, row.cert)}
			for _, from := range [][]string{lines, append(slices.Clone(lines), "--cert", row.cert+".pem")} {
				x := explainRequest(t, from)
				if string(x.Reason) != row.reason || strings.HasPrefix(x.Detail, row.reason) || x.Detail == "" {
					t.Errorf("%q: got %s: %q, want %s with a detail", from, x.Reason, x.Detail, row.reason)
				}
				for _, part := range row.want {
					if len(x.Hints) == 0 || !strings.Contains(x.Hints[0].Text, part) {
						t.Errorf("%q: the hints are %+v, want %q first", from, x.Hints, part)
					}
				}
			}
		})
	}
}

// The hint about a revoked certificate is a command that shows the list, with the certificate
// and without it.
func TestHintForARevokedCertificateShowsTheList(t *testing.T) {
	site := serveLogged(t, "trust: {anchors: [client-ca.pem]}=>trust: {anchors: [client-ca.pem], crls: [client-ca.crl]}")
	site.request("internal", "revoked", "GET", "/whoami")
	lines := []string{"--log", "server.log", "--refused"}
	for _, from := range [][]string{lines, append(slices.Clone(lines), "--cert", "revoked.pem")} {
		x := explainRequest(t, from)
		if x.Reason != "revoked" || len(x.Hints) != 2 {
			t.Fatalf("%q: got %s %+v, want revoked with two hints", from, x.Reason, x.Hints)
		}
		code, out, errs := runLine(t, strings.TrimPrefix(x.Hints[1].Command, "mtlsguard "))
		if code == exitInvalid || !strings.Contains(out, "client-ca.crl lists it since ") {
			t.Errorf("%q: status %d\n%s%s", x.Hints[1].Command, code, out, errs)
		}
	}
}

// The command for the next certificate of a caller names the user, if a mapping shows it.
func TestHintForTheNextCertificateNamesTheUser(t *testing.T) {
	site := serveLogged(t)
	command(t, hint{Command: "mtlsguard users add --config mtlsguard.yaml --cert expired.pem --user shop"})
	site.request("internal", "expired", "GET", "/whoami")
	x := explainRequest(t, []string{"--log", "server.log", "--refused"})
	if len(x.Hints) == 0 || !strings.HasSuffix(x.Hints[0].Command, " --cert NEW.pem --user shop") {
		t.Errorf("got %+v, want a hint with a command for user shop", x.Hints)
	}
}
