package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/store/postgres"
)

// A fleet in PostgreSQL, with the roles of roles.sql. Only the owner of the schema may prune.
func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	host, port := startPostgres(t)
	at := func(user string) string { return fmt.Sprintf("postgres://%s@%s:%s/postgres", user, host, port) }
	owner, err := pgx.Connect(t.Context(), at("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close(t.Context())
	for _, sql := range []string{postgres.Schema, postgres.Roles, "create role anna login; grant mtlsguard_editor to anna"} {
		if _, err := owner.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	config, err := postgres.ParseConfig(at("anna"))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store := postgres.New(pool, "orders")
	defer store.Close()
	e := newEditor(t, "MTLSGUARD_STORE="+at("anna"))
	e.journey(store)
	if out := e.run(2, "prune", "--keep", "2", "--younger", "0s"); !strings.Contains(out, "permission denied") || !strings.Contains(out, "hint: only the owner of the schema") {
		t.Error(out)
	}
	e.store = []string{"MTLSGUARD_STORE=" + at("postgres")}
	e.pruned()
}

// startPostgres starts a server with an empty cluster. Its programs refuse to run as root.
func startPostgres(t *testing.T) (host, port string) {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(found) == 0 {
		testkit.Program(t, "initdb", "postgresql")
	}
	bin := found[len(found)-1]
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	attributes := &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2, os.Chown(dir, uid, gid)); err != nil {
			t.Fatal(err)
		}
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C")
	initdb.Dir, initdb.SysProcAttr = "/", attributes
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	host, port, _ = net.SplitHostPort(testkit.FreeAddress(t))
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", port, "-c", "listen_addresses="+host, "-c", "unix_socket_directories=", "-c", "fsync=off")
	server.Dir, server.SysProcAttr = "/", attributes
	var log strings.Builder
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT) // a fast stop
		_ = server.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	testkit.Eventually(t, "PostgreSQL", func() bool {
		c, err := pgx.Connect(t.Context(), fmt.Sprintf("postgres://postgres@%s:%s/postgres", host, port))
		if err == nil {
			_ = c.Close(t.Context())
		}
		return err == nil
	})
	return host, port
}
