package mtlsguard

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// A program that uses the handler, and calls neither Run nor Serve, finds it in the log within
// a minute. The clock is the test's; counting a decision stands for the request.
func TestServerThatIsUsedAndDoesNotRunIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testkit.Buffer{}
		s := openMinimal(t, Options{Log: JSONLog(log, nil)})
		logged := func() int {
			synctest.Wait()
			return strings.Count(log.String(), `"level":"ERROR","msg":"the server is used and does not run","event":"not-running"`)
		}
		time.Sleep(3 * time.Minute)
		if n := logged(); n != 0 {
			t.Errorf("a server that is not used is logged %d times", n)
		}
		s.counts[0].countDecision(true, "")
		time.Sleep(61 * time.Second)
		if n := logged(); n != 1 {
			t.Errorf("a minute after a request it is logged %d times", n)
		}
		time.Sleep(20 * time.Minute)
		if n := logged(); n != 1 {
			t.Errorf("without a further request it is logged %d times", n)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		time.Sleep(time.Second)
		s.counts[0].countDecision(true, "")
		time.Sleep(20 * time.Minute)
		if n := logged(); n != 1 {
			t.Errorf("a server that runs is logged %d times", n)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// openMinimal opens a server with one port, which allows nothing.
func openMinimal(t *testing.T, o Options) *Server {
	t.Helper()
	dir := t.TempDir()
	ca := testpki.NewCA("CA")
	server := ca.Server()
	for name, content := range map[string]string{
		"ca.pem": string(ca.CertPEM()), "server.pem": string(server.CertPEM()), "server-key.pem": string(server.KeyPEM()),
		"policy.csv": "p, group:Everybody, *, GET, /, deny\n", "users.yaml": "mappings: []\n",
		"mtlsguard.yaml": `users: users.yaml
policy: policy.csv
reload: 0
ports:
  - name: internal
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [ca.pem]}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(filepath.Join(dir, "mtlsguard.yaml"), o)
	if err != nil {
		t.Fatal(err)
	}
	s.Handler(http.NotFoundHandler())
	return s
}
