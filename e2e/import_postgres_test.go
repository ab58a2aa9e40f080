//go:build linux

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/importer/pgident"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// The maps of one PostgreSQL, each for a database of its name.
var postgresMaps = []struct {
	name, clientname string
	lines            string
	users            []string // that clients may be, beside those of the result
	carried          int      // certificates with a user here at least
}{
	{"exact", "DN", `exact "CN=alice,OU=Staff,O=Acme" alice
exact "CN=bob,OU=Staff,O=Acme"         "old bob" # not a user name
exact "cn=carol,OU=Staff,O=Acme"       carol
exact "CN=orders,OU=Services,O=Acme" \
                                       orders-api
exact "CN=mallory, OU=Staff, O=Acme"   mallory
exact "CN=partner,O=Partner"           partner
`, []string{"carol", "mallory"}, 2},
	{"pattern", "DN", `pattern "/^CN=([^,]+),OU=Staff,O=Acme$" \1
pattern "CN=orders,OU=Services,O=Acme"  orders-api
pattern "CN=alice,OU=Staff,O=Acme"      admin
`, []string{"alice", "bob", "orders", `alice\00.evil`}, 5},
	{"loose", "DN", `loose "/CN=([a-z]+)" \1
`, []string{"alice", "partner", "evil"}, 4},
	{"names", "CN", `names alice  alice
names ALICE  mallory
names orders orders-api
names partner partner
names bmp-cn bmp
`, []string{"mallory", "partner", "bmp"}, 2},
	{"loosenames", "CN", `loosenames /^(.*)$ \1
`, []string{"alice", "bob"}, 4},
}

// Every test certificate goes to a real PostgreSQL with its own pg_ident.conf, as each user, and to
// a server with the imported one. The user of the result is one of those that PostgreSQL lets the
// certificate be. Covers T3.
func TestImportedUserNameMapsOfPostgreSQL(t *testing.T) {
	testkit.SkipUnderRace(t, "an import is one goroutine, and the source is another program")
	t.Parallel()
	text := ""
	for _, m := range postgresMaps {
		text += m.lines
	}
	dir := importertest.Folder(t, map[string]string{"pg_ident.conf": text})
	server := startPostgres(t, dir)
	for _, m := range postgresMaps {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			in, err := importer.New(importer.Options{Format: "test", Certificates: []string{dir}, Issuers: []string{filepath.Join(dir, "client-ca.pem")}})
			if err == nil {
				err = pgident.Read(in, filepath.Join(dir, "pg_ident.conf"), pgident.Options{Map: m.name, ClientName: m.clientname, Each: strings.HasPrefix(m.name, "loose")})
			}
			if err != nil {
				t.Fatal(err)
			}
			out, err := in.Finish()
			if err != nil {
				t.Fatal(err)
			}
			here := serveImported(t, out)
			carried := 0
			for _, c := range out.Certificates {
				file := filepath.Base(c.File)
				if m.name != "exact" && m.name != "names" && !slices.Contains(fewCertificates, strings.TrimSuffix(file, ".pem")) {
					continue
				}
				now := askUser(t, pkiClient(t, file), here)
				if now != c.User {
					t.Errorf("%s: the server says %q, the report %q", file, now, c.User)
				}
				var there []string
				for _, user := range append(slices.Clone(m.users), now) {
					if user != "" && server.accepts(t, file, user, m.name) {
						there = append(there, user)
					}
				}
				if now != "" {
					carried++
				}
				switch {
				case now != "" && !slices.Contains(there, now):
					t.Errorf("%s: user %s here, and %q in PostgreSQL", file, now, there)
				case now == "" && len(there) > 0 && out.Count(importer.NotCarried)+out.Count(importer.Changed) == 0:
					t.Errorf("%s: %q in PostgreSQL, no user here, and no line is reported", file, there)
				}
				for _, user := range there {
					if c.Known && !slices.Contains(strings.Split(c.Source, " or "), user) {
						t.Errorf("%s: PostgreSQL accepts %q, the report %q", file, user, c.Source)
					}
				}
			}
			if len(out.Certificates) < 40 || carried < m.carried {
				t.Errorf("%d certificates, %d users here", len(out.Certificates), carried)
			}
		})
	}
}

// postgres is a real PostgreSQL.
type postgres struct{ address string }

// startPostgres starts a PostgreSQL that trusts client-ca.pem, with the pg_ident.conf of a folder.
func startPostgres(t *testing.T, from string) *postgres {
	t.Helper()
	initdb, server := postgresProgram(t, "initdb"), postgresProgram(t, "postgres")
	folder, err := os.MkdirTemp("", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	giveToPostgres(t, folder)
	data := filepath.Join(folder, "data")
	cmd := exec.Command(initdb, "-D", data, "--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C")
	asPostgres(t, cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	hba := ""
	for _, m := range postgresMaps {
		hba += "hostssl " + m.name + " all 127.0.0.1/32 cert map=" + m.name + " clientname=" + m.clientname + "\n"
	}
	for _, name := range []string{"server.pem", "server-key.pem", "client-ca.pem"} {
		putKey(t, data, name)
		giveToPostgres(t, filepath.Join(data, name))
	}
	ident, err := os.ReadFile(filepath.Join(from, "pg_ident.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"pg_hba.conf": hba, "pg_ident.conf": string(ident)} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := &postgres{address: testkit.FreeAddress(t)}
	_, port, _ := net.SplitHostPort(p.address)
	logged := &testkit.Buffer{}
	cmd = exec.Command(server, "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "shared_buffers=8MB",
		"-c", "ssl=on", "-c", "ssl_cert_file=server.pem", "-c", "ssl_key_file=server-key.pem", "-c", "ssl_ca_file=client-ca.pem", "-c", "autovacuum=off")
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = logged, logged, 5*time.Second
	asPostgres(t, cmd)
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // Pdeathsig is about the thread
		err := cmd.Start()
		if started <- err; err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGQUIT) // it may have ended
		<-ended
		if t.Failed() {
			t.Log(logged.String())
		}
	})
	testkit.Eventually(t, "PostgreSQL accepts connections", func() bool {
		select {
		case <-ended:
			t.Fatalf("PostgreSQL ended: %s", logged.String())
		default:
		}
		return strings.Contains(logged.String(), "ready to accept connections")
	})
	return p
}

// postgresProgram returns the path of a program of PostgreSQL. Debian has them outside of PATH.
func postgresProgram(t *testing.T, name string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) > 0 {
		return found[len(found)-1]
	}
	return testkit.Program(t, name, "postgresql")
}

// postgresUser returns the user that PostgreSQL runs as, nil if the test does not run as root.
func postgresUser(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func asPostgres(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: postgresUser(t)}
}

func giveToPostgres(t *testing.T, name string) {
	t.Helper()
	if u := postgresUser(t); u != nil {
		if err := os.Chown(name, int(u.Uid), int(u.Gid)); err != nil {
			t.Fatal(err)
		}
	}
}

// accepts reports whether PostgreSQL lets a client with a test certificate be a user. The database
// and the user need not exist: PostgreSQL looks for them after it has said so.
func (p *postgres) accepts(t *testing.T, certificate, user, database string) bool {
	t.Helper()
	holder := pkiPair(t, certificate)
	if holder == nil {
		return false
	}
	c, err := net.DialTimeout("tcp", p.address, testkit.Patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(testkit.Patience))
	answer := make([]byte, 1)
	if _, err := c.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}); err != nil { // SSLRequest
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, answer); err != nil || answer[0] != 'S' {
		t.Fatalf("PostgreSQL answered SSLRequest with %q, %v; want S", answer, err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(file(t, "server-ca.pem"))
	secure := tls.Client(c, &tls.Config{RootCAs: roots, ServerName: "localhost", GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return holder, nil }})
	body := binary.BigEndian.AppendUint32(nil, 196608) // version 3.0
	body = append(body, "user\x00"+user+"\x00database\x00"+database+"\x00\x00"...)
	if _, err := secure.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)); err != nil {
		return false // refused in the handshake
	}
	reply := make([]byte, 9)
	if _, err := io.ReadFull(secure, reply); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: no answer", certificate)
		}
		return false
	}
	switch {
	case reply[0] == 'R' && binary.BigEndian.Uint32(reply[5:]) == 0: // AuthenticationOk
		return true
	case reply[0] != 'E':
		t.Errorf("%s: PostgreSQL answered %q", certificate, reply)
	}
	return false
}
