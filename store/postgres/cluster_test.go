package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// cluster is a real PostgreSQL server on loopback.
type cluster struct {
	folder string
	port   int
	server *process
	names  atomic.Int64
}

// process is a program that a test has started. It ends with the test binary, also if that is killed.
type process struct {
	*exec.Cmd
	ended chan struct{}
}

// start starts a program as the user that databases run as: PostgreSQL and PgBouncer refuse root.
func start(cmd *exec.Cmd) (*process, error) {
	if err := asDatabase(cmd); err != nil {
		return nil, err
	}
	endWithTests(cmd.SysProcAttr)
	p := &process{Cmd: cmd, ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // endWithTests is about the thread, which must not end before
		defer close(p.ended)
		err := cmd.Start()
		if started <- err; err == nil {
			_ = cmd.Wait()
		}
	}()
	return p, <-started
}

// end sends a signal, and waits until the program has ended.
func (p *process) end(s os.Signal) {
	_ = p.Process.Signal(s) // it may have ended
	<-p.ended
}

// asDatabase makes cmd run as the user postgres if the test runs as root.
func asDatabase(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	cmd.Dir = "/"
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return nil
}

// giveToDatabase makes the user of start the owner of a file or folder.
func giveToDatabase(name string) error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return os.Chown(name, uid, gid)
}

// program returns the path of a program of PostgreSQL. Debian has them outside of PATH.
func program(tb testing.TB, name string) string {
	tb.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) > 0 {
		return slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	}
	return testkit.Program(tb, name, "postgresql")
}

// version returns the version in /usr/lib/postgresql/VERSION/bin/NAME.
func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// freePort returns the port of a free address.
func freePort(tb testing.TB) int {
	tb.Helper()
	_, port, _ := net.SplitHostPort(testkit.FreeAddress(tb))
	n, err := strconv.Atoi(port)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// newCluster starts a server with an empty cluster in folder, which belongs to the test.
func newCluster(tb testing.TB, folder string) *cluster {
	tb.Helper()
	if err := errors.Join(giveToDatabase(folder), os.Chmod(filepath.Dir(folder), 0o755)); err != nil {
		tb.Fatal(err)
	}
	c := &cluster{folder: filepath.Join(folder, "data"), port: freePort(tb)}
	initdb := exec.Command(program(tb, "initdb"), "-D", c.folder, "--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C")
	if err := asDatabase(initdb); err != nil {
		tb.Fatal(err)
	}
	if out, err := initdb.CombinedOutput(); err != nil {
		tb.Fatalf("initdb: %v\n%s", err, out)
	}
	ca := testpki.NewCA("Database CA")
	server := ca.Server()
	for file, data := range map[string][]byte{"server.crt": server.CertPEM(), "server.key": server.KeyPEM(), "ca.pem": ca.CertPEM()} {
		name := filepath.Join(c.folder, file)
		if err := errors.Join(os.WriteFile(name, data, 0o600), giveToDatabase(name)); err != nil {
			tb.Fatal(err)
		}
	}
	c.start(tb)
	return c
}

// ownCluster returns a server for one test, which may stop it.
func ownCluster(tb testing.TB) *cluster {
	tb.Helper()
	c := newCluster(tb, tb.TempDir())
	tb.Cleanup(func() { c.stop(syscall.SIGQUIT) })
	return c
}

// start starts the server, and waits until it answers.
func (c *cluster) start(tb testing.TB) {
	tb.Helper()
	cmd := exec.Command(program(tb, "postgres"), "-D", c.folder, "-p", strconv.Itoa(c.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "ssl=on", "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=320", "-c", "shared_buffers=32MB", "-c", "log_min_messages=fatal")
	server, err := start(cmd)
	if err != nil {
		tb.Fatal(err)
	}
	c.server = server
	for end := time.Now().Add(testkit.Patience); ; time.Sleep(20 * time.Millisecond) { // each attempt is a process of the server
		conn, err := pgx.Connect(context.Background(), c.dsn("postgres"))
		if err == nil {
			_ = conn.Close(context.Background())
			return
		}
		if time.Now().After(end) {
			tb.Fatalf("PostgreSQL does not answer: %v", err)
		}
	}
}

// stop ends the server: SIGINT is a fast shutdown, SIGQUIT an immediate one, as after a crash.
func (c *cluster) stop(s syscall.Signal) { c.server.end(s) }

// dsn returns the connection string of a database.
func (c *cluster) dsn(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", c.port, database)
}

// exec runs statements as the superuser.
func (c *cluster) exec(tb testing.TB, database, sql string) {
	tb.Helper()
	if err := c.try(database, "postgres", sql); err != nil {
		tb.Fatal(err)
	}
}

// try runs statements as a role.
func (c *cluster) try(database, role, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	config, err := pgx.ParseConfig(c.dsn(database))
	if err != nil {
		return err
	}
	config.User = role
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}

// row queries one row as the superuser.
func (c *cluster) row(database, sql string, arguments ...any) pgx.Row {
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	conn, err := pgx.Connect(ctx, c.dsn(database))
	if err != nil {
		cancel()
		return failed{err}
	}
	return closing{conn.QueryRow(ctx, sql, arguments...), func() { _ = conn.Close(ctx); cancel() }}
}

// failed is a row whose query failed.
type failed struct{ error }

func (f failed) Scan(...any) error { return f.error }

// closing closes its connection after it was read.
type closing struct {
	pgx.Row
	close func()
}

func (c closing) Scan(into ...any) error {
	defer c.close()
	return c.Row.Scan(into...)
}

// database returns the name of a new database with the schema.
func (c *cluster) database(tb testing.TB) string {
	tb.Helper()
	name := "d" + strconv.FormatInt(c.names.Add(1), 10)
	c.exec(tb, "postgres", "create database "+name)
	c.exec(tb, name, Schema)
	return name
}

// pool returns a pool of a role.
func (c *cluster) pool(tb testing.TB, database, role string) *pgxpool.Pool {
	tb.Helper()
	return poolOf(tb, c.dsn(database), role)
}

func poolOf(tb testing.TB, dsn, role string) *pgxpool.Pool {
	tb.Helper()
	config, err := ParseConfig(dsn)
	if err != nil {
		tb.Fatal(err)
	}
	config.ConnConfig.User = role
	return poolWith(tb, config)
}

func poolWith(tb testing.TB, config *pgxpool.Config) *pgxpool.Pool {
	tb.Helper()
	pool, err := pgxpool.NewWithConfig(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	return pool
}

// store returns a store of a new database.
func (c *cluster) store(tb testing.TB, fleet string, options ...Option) *Store {
	tb.Helper()
	return storeOf(tb, c.pool(tb, c.database(tb), "postgres"), fleet, options...)
}

func storeOf(tb testing.TB, pool *pgxpool.Pool, fleet string, options ...Option) *Store {
	tb.Helper()
	s := New(pool, fleet, options...)
	tb.Cleanup(s.Close)
	return s
}

// withTimes changes the waits of a store.
func withTimes(change func(*times)) Option {
	return func(s *Store) { change(&s.times) }
}

// shared is the server of all tests that do not stop it. TestMain ends it.
var shared struct {
	sync.Once
	*cluster
	folder string
}

// sharedCluster returns the server of all tests.
func sharedCluster(tb testing.TB) *cluster {
	tb.Helper()
	program(tb, "postgres") // skips
	shared.Do(func() {
		folder, err := os.MkdirTemp("", "mtlsguard-postgres-")
		if err != nil {
			tb.Fatal(err)
		}
		shared.folder = folder
		data := filepath.Join(folder, "cluster")
		if err := os.Mkdir(data, 0o755); err != nil {
			tb.Fatal(err)
		}
		shared.cluster = newCluster(tb, data)
	})
	if shared.cluster == nil {
		tb.Fatal("PostgreSQL did not start")
	}
	return shared.cluster
}

func TestMain(m *testing.M) {
	status := m.Run()
	if shared.cluster != nil && shared.server != nil {
		shared.stop(syscall.SIGQUIT)
	}
	if shared.folder != "" {
		_ = os.RemoveAll(shared.folder)
	}
	os.Exit(status)
}

// soon returns a context for what takes far less than its deadline.
func soon(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	tb.Cleanup(cancel)
	return ctx
}
