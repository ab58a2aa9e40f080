//go:build linux

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/reason"
)

// troubleCase provokes what a row of the page describes.
type troubleCase struct {
	see     string // the first cell of the row
	prepare func(*scene)
	call    func(s *scene, options []string) string // the client
	options []string                                // before the change
	always  []string                                // before and after the change
	reason  reason.Reason                           // in the server's log; "" means that a handshake failed without one
	program func(*scene)                            // the change in the program, if the row names one
	noLog   bool                                    // nothing arrives at the server
}

var (
	javaURL      = java("HttpsURLConnection", "TLSv1.3", "server-ca.pem")
	javaURL12    = java("HttpsURLConnection", "TLSv1.2", "server-ca.pem")
	javaClient13 = java("HttpClient", "TLSv1.3", "server-ca.pem")
)

func curlOf(name string) []string {
	return []string{"--cert", name + ".pem", "--key", name + "-key.pem"}
}
func goOf(name string) []string {
	return []string{`tls.LoadX509KeyPair("` + name + `.pem", "` + name + `-key.pem")`}
}
func pythonOf(name string) []string {
	return []string{`context.load_cert_chain("` + name + `.pem", "` + name + `-key.pem")`}
}
func javaOf(name string) []string {
	return []string{"-Djavax.net.ssl.keyStore=" + name + ".p12", "-Djavax.net.ssl.keyStorePassword=changeit"}
}

// chromiumTrusts makes Chromium's store of certificates. Chromium trusts the server's authority.
func chromiumTrusts(s *scene) {
	chromiumStore(s)
	s.shell("certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n server-ca -i server-ca.pem")
}

func chromiumStore(s *scene) {
	testkit.Program(s, "certutil", "libnss3-tools")
	s.shell("mkdir -p .pki/nssdb && certutil -d sql:.pki/nssdb -N --empty-password")
}

// anonymous makes the port one that needs no certificate.
func anonymous(s *scene) {
	s.sub("mtlsguard.yaml", "client_cert: require", "client_cert: request")
	s.sub("mtlsguard.yaml", "strict: true", "strict: false")
}

var clientTroubles = []troubleCase{
	// no certificate
	{see: "curl: (56) … alert certificate required", call: curl, reason: reason.NoCertificate},
	{see: "curl: (35) … alert handshake failure", call: curl, always: []string{"--tls-max", "1.2"}, reason: reason.NoCertificate},
	{see: "SSL alert number 116", call: opensslClient, reason: reason.NoCertificate},
	{see: "remote error: tls: certificate required", call: goClient, reason: reason.NoCertificate},
	{see: "remote error: tls: handshake failure", call: goClient, always: []string{"tls.VersionTLS12("}, reason: reason.NoCertificate},
	{see: "SSLHandshakeException: Received fatal alert: certificate_required", call: javaURL, reason: reason.NoCertificate},
	{see: "SSLHandshakeException: Received fatal alert: handshake_failure", call: javaURL12, reason: reason.NoCertificate},
	{see: "Received fatal alert: certificate_required, with a key store", call: javaClient13, options: javaOf("partner"), reason: reason.NoCertificate},
	{see: "TLSV13_ALERT_CERTIFICATE_REQUIRED", call: python, reason: reason.NoCertificate},
	{see: "ERR_BAD_SSL_CLIENT_AUTH_CERT or ERR_SOCKET_NOT_CONNECTED", call: chromium, prepare: chromiumTrusts, reason: reason.NoCertificate},
	// unknown authority
	{see: "curl: (56) … alert unknown ca", call: curl, options: curlOf("partner"), reason: reason.UnknownAuthority},
	{see: "SSL alert number 48", call: opensslClient, options: []string{"-cert", "carol.pem", "-key", "carol-key.pem"}, reason: reason.UnknownAuthority},
	{see: "remote error: tls: unknown certificate authority", call: goClient, options: goOf("carol"), reason: reason.UnknownAuthority},
	{see: "TLSV1_ALERT_UNKNOWN_CA", call: python, options: pythonOf("partner"), reason: reason.UnknownAuthority},
	// GnuTLS
	{see: "GnuTLS recv error (-12): A TLS fatal alert has been received", call: git, reason: reason.NoCertificate},
	// expired
	{see: "curl: (56) … alert certificate expired", call: curl, options: curlOf("expired"), reason: reason.Expired},
	{see: "curl: (60) SSL certificate verification failed", call: curl, options: curlOf("expired"), always: []string{"--tls-max", "1.2"}, reason: reason.Expired},
	{see: "remote error: tls: expired certificate", call: goClient, options: goOf("expired"), reason: reason.Expired},
	{see: "Received fatal alert: certificate_expired", call: javaURL, options: javaOf("expired"), reason: reason.Expired},
	{see: "SSLV3_ALERT_CERTIFICATE_EXPIRED", call: python, options: pythonOf("expired"), reason: reason.Expired},
	// revoked, and the rest
	{see: "curl: (56) … alert certificate revoked", call: curl, options: curlOf("revoked"), reason: reason.Revoked},
	{see: "remote error: tls: revoked certificate", call: goClient, options: goOf("revoked"), reason: reason.Revoked},
	{see: "Received fatal alert: certificate_revoked", call: javaURL, options: javaOf("revoked"), reason: reason.Revoked},
	{see: "curl: (56) … alert bad certificate", call: curl, options: curlOf("wrong"), reason: reason.WrongUsage},
	{see: "remote error: tls: bad certificate", call: goClient, options: goOf("wrong"), reason: reason.WrongUsage},
	{see: "Received fatal alert: bad_certificate", call: javaURL12, options: javaOf("authority"), prepare: func(s *scene) { s.add("authority", s.ca) }, reason: reason.NotALeaf},
	// the client refuses the server
	{see: "curl: (60) SSL certificate problem: unable to get local issuer certificate", call: curl, options: []string{"no-cacert"}, always: curlOf("alice")},
	{see: "curl: (60) SSL: no alternative certificate subject name matches target host name", call: curl, options: []string{"https://api.acme.example:8443/whoami"}, always: curlOf("alice"), noLog: true},
	{see: "x509: certificate signed by unknown authority", call: goClient, options: []string{"roots.AppendCertsFromPEM()"}, always: goOf("alice")},
	{see: "PKIX path building failed", call: java("HttpsURLConnection", "TLSv1.3", "none"), always: javaOf("alice")},
	{see: "ERR_CERT_AUTHORITY_INVALID", call: chromium, prepare: func(s *scene) { chromiumStore(s); anonymous(s) }},
	{see: "CERTIFICATE_VERIFY_FAILED", call: python, options: []string{"ssl.create_default_context()"}, prepare: anonymous},
	// neither
	{see: "This port serves HTTPS only.", call: curl, options: []string{"http://localhost:8443/whoami"}, always: curlOf("alice")},
	{see: "curl: (35) … alert protocol version", call: curl, always: append(curlOf("alice"), "--tls-max", "1.2"), prepare: func(s *scene) {
		s.sub("mtlsguard.yaml", `min_version: "1.2"`, `min_version: "1.3"`)
	}},
	{see: "curl: (58) unable to set private key file", call: curl, options: []string{"--cert", "alice.pem", "--key", "bob-key.pem"}, noLog: true},
}

// Every row of docs/troubleshooting.md is true: the client prints the text, or the log line has it;
// the reason is in the log; the command shows it; and the change makes the request work.
func TestTroubleshootingRowsAreTrue(t *testing.T) {
	testkit.SkipUnderRace(t, "the clients are other programs, and the other tests of this package have the same servers")
	t.Parallel()
	jvm := &javaClient{}
	t.Cleanup(jvm.end)
	rows := map[string]trouble{}
	for _, row := range troubles(t) {
		rows[row.see] = row
	}
	try := func(see string, test func(*testing.T, *scene, trouble)) {
		t.Run(see, func(t *testing.T) {
			t.Parallel()
			row, ok := rows[see]
			if !ok {
				t.Fatal("the page has no such row")
			}
			test(t, newScene(t, jvm), row)
		})
	}
	for _, c := range clientTroubles {
		try(c.see, c.testClient)
	}
	for _, c := range reasonTroubles {
		try(c.see, c.testReason)
	}
	for _, c := range logTroubles {
		try(c.see, c.test)
	}
}

func (c troubleCase) testClient(t *testing.T, s *scene, row trouble) {
	printed := c.provoke(s)
	for tries := 1; !slices.ContainsFunc(row.texts, func(text string) bool { return shows(printed, text) }); tries++ {
		// A refused client has half a second to read the alert. On a busy machine one that still writes then finds a closed connection.
		if lower := strings.ToLower(printed); tries == 10 || !strings.Contains(lower, "broken pipe") && !strings.Contains(lower, "connection reset") {
			t.Fatalf("the page has %q, the client prints:\n%s", row.texts, printed)
		}
		printed = c.call(s, slices.Concat(c.always, c.options))
	}
	s.checkLog(c, row)
	s.mend(c, row)
}

// provoke starts the server and makes the request.
func (c troubleCase) provoke(s *scene) (printed string) {
	s.Helper()
	if c.prepare != nil {
		c.prepare(s)
	}
	s.start()
	return c.call(s, slices.Concat(c.always, c.options))
}

// mend makes the change that the row names, and tries again.
func (s *scene) mend(c troubleCase, row trouble) {
	s.Helper()
	change := row.remedy()
	if change.isEmpty() {
		s.Fatalf("no change in %q", row.change)
	}
	s.live.end()
	s.apply(change)
	if c.program != nil {
		c.program(s)
	}
	s.start()
	options := change.options
	if len(options) == 0 || c.program != nil {
		options = c.options
	}
	if printed := c.call(s, slices.Concat(c.always, options)); !strings.Contains(printed, "hello ") {
		s.Fatalf("after the change %+v:\n%s\n%s", change, printed, s.live.log.text())
	}
}

// checkLog checks that the log has the reason of the row, or a handshake that failed.
func (s *scene) checkLog(c troubleCase, row trouble) {
	s.Helper()
	switch {
	case c.noLog:
	case c.reason == "":
		testkit.Eventually(s, "the line of the failed handshake", func() bool {
			return len(s.live.log.find("event", "handshake", "outcome", "failed")) > 0
		})
	default:
		if !strings.Contains(row.row, "`"+string(c.reason)+"`") {
			s.Errorf("the row does not name %s: %s", c.reason, row.row)
		}
		testkit.Eventually(s, "a line with the reason "+string(c.reason), func() bool { return len(s.live.log.find("reason", string(c.reason))) > 0 })
	}
}
