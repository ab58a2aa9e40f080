package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
)

// bouncer starts the real PgBouncer in front of a cluster, and returns the connection string of a database behind it.
func bouncer(t *testing.T, c *cluster, mode, database string) string {
	t.Helper()
	binary := testkit.Program(t, "pgbouncer", "pgbouncer")
	folder := t.TempDir()
	if err := errors.Join(giveToDatabase(folder), os.Chmod(filepath.Dir(folder), 0o755)); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	config := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = %s
logfile = %s
`, c.port, port, mode, filepath.Join(folder, "log"))
	name := filepath.Join(folder, "pgbouncer.ini")
	if err := os.WriteFile(name, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := start(exec.Command(binary, "-q", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(syscall.SIGTERM) })
	dsn := fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", port, database)
	testkit.Eventually(t, "PgBouncer answers", func() bool {
		conn, err := pgx.Connect(context.Background(), dsn)
		if err == nil {
			_ = conn.Close(context.Background())
		}
		return err == nil
	})
	return dsn
}

func TestNodeBehindPgBouncerFollows(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	for _, x := range []struct {
		name, mode string
		direct     bool // WithListen
		polls      bool
	}{
		{"transaction mode is polled, and logged once", "transaction", false, true},
		{"session mode notifies", "session", false, false},
		{"transaction mode with a direct connection notifies", "transaction", true, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			name := c.database(t)
			dsn := bouncer(t, c, x.mode, name)
			var log testkit.Buffer
			options := []Option{WithLog(slog.New(slog.NewTextHandler(&log, nil)))}
			if x.direct {
				direct, err := pgx.ParseConfig(c.dsn(name))
				if err != nil {
					t.Fatal(err)
				}
				options = append(options, WithListen(direct))
			} else {
				// The connection is made again and again, as after restarts of PgBouncer.
				options = append(options, withTimes(func(x *times) { x.poll, x.again = 300*time.Millisecond, 500*time.Millisecond }))
			}
			pool := poolOf(t, dsn, "postgres")
			node, editor := storeOf(t, pool, fleet, options...), storeOf(t, pool, fleet)
			parent := commit(t, editor, nil, "0")
			var saw atomic.Uint64
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go follow(ctx, node, func(g *source.Generation) { saw.Store(g.Manifest.Number) })
			eventually(t, 1, &saw)
			if x.polls {
				testkit.Eventually(t, "the store logs that it polls", func() bool { return strings.Contains(log.String(), "LISTEN does not work") })
			}
			var worst time.Duration
			for i := range 5 {
				parent = commit(t, editor, parent, strings.Repeat("x", i))
				worst = max(worst, eventually(t, parent.Manifest.Number, &saw))
			}
			t.Logf("the slowest of 5 generations was seen after %v", worst)
			if worst > 2*time.Second {
				t.Errorf("a generation was seen after %v", worst)
			}
			if n := strings.Count(log.String(), "LISTEN does not work"); n != map[bool]int{true: 1}[x.polls] {
				t.Errorf("%d lines about LISTEN:\n%s", n, log.String())
			}
		})
	}
}

// PgBouncer can give the listening server process to another client, and another process to the
// node.
func TestServerProcessThatStopsListeningIsNoticed(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	var log testkit.Buffer
	s := c.store(t, fleet, WithLog(slog.New(slog.NewTextHandler(&log, nil))))
	e, err := s.connect(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close(context.Background())
	if err := e.listen(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := e.look(soon(t)); err != nil || e.noListen != "" {
		t.Fatalf("look: %v, %q, want that it listens", err, e.noListen)
	}
	if _, err := e.Exec(soon(t), "unlisten *"); err != nil {
		t.Fatal(err)
	}
	if err := e.look(soon(t)); err != nil || e.noListen == "" {
		t.Errorf("look: %v, %q, want that it polls", err, e.noListen)
	}
}

func TestStandbyIsPolledUntilItIsPromoted(t *testing.T) {
	t.Parallel()
	c := ownCluster(t)
	var log testkit.Buffer
	name := c.database(t)
	s := storeOf(t, c.pool(t, name, "postgres"), fleet, WithLog(slog.New(slog.NewTextHandler(&log, nil))), withTimes(func(x *times) {
		x.poll, x.again = 50*time.Millisecond, 300*time.Millisecond
	}))
	first := commit(t, s, nil, "1")
	c.stop(syscall.SIGINT)
	standby := filepath.Join(c.folder, "standby.signal")
	if err := os.WriteFile(standby, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c.start(t)
	var saw atomic.Uint64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go follow(ctx, s, func(g *source.Generation) { saw.Store(g.Manifest.Number) })
	eventually(t, 1, &saw)
	testkit.Eventually(t, "the store logs that it polls", func() bool { return strings.Contains(log.String(), "during recovery") })
	errorHas(t, s.Commit(soon(t), next(t, first, "2")), "read-write")
	c.exec(t, "postgres", "select pg_promote()")
	second := commit(t, s, first, "2")
	eventually(t, 2, &saw)
	testkit.Eventually(t, "the store listens", func() bool {
		var n int
		err := c.row("postgres", "select count(*) from pg_stat_activity where query like '%pg_listening_channels%' and backend_start > now() - interval '20 s' and datname = $1", name).Scan(&n)
		return err == nil && n == 1
	})
	commit(t, s, second, "3")
	eventually(t, 3, &saw)
}

// A wait that ends at its deadline must leave a TLS connection as it was.
func TestHeartbeatsOverTLSKeepTheConnection(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	name := c.database(t)
	dsn := strings.Replace(c.dsn(name), "sslmode=disable", "sslmode=verify-full&sslrootcert="+filepath.Join(c.folder, "ca.pem"), 1)
	s := storeOf(t, poolOf(t, dsn, "postgres"), fleet, withTimes(func(x *times) { x.heartbeat = 5 * time.Millisecond }))
	first := commit(t, s, nil, "1")
	result := make(chan error, 1)
	go func() { result <- s.Watch(soon(t), first) }()
	testkit.Eventually(t, "the store listens over TLS, and looks again and again", func() bool {
		var n int
		err := c.row("postgres", `select count(*) from pg_stat_activity join pg_stat_ssl using (pid)
			where datname = $1 and ssl and query like '%pg_listening_channels%' and query_start > backend_start + interval '300 ms'`, name).Scan(&n)
		return err == nil && n == 1
	})
	select {
	case err := <-result:
		t.Errorf("the watch ended: %v", err)
	default:
	}
	if now, _ := s.current(); now.failures != 0 {
		t.Errorf("the connection was lost %d times: %v", now.failures, now.err)
	}
	commit(t, s, first, "2")
	if err := <-result; err != nil {
		t.Errorf("watch: %v", err)
	}
}
