package postgres

import (
	"encoding/binary"
	"io"
	"io/fs"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/mtlsguard/mtlsguard/source"
)

// The rows of the database are not trusted: no constraint stops its superuser.
func TestHostileRowsAreNotTrusted(t *testing.T) {
	c := sharedCluster(t)
	name := c.database(t)
	s := storeOf(t, c.pool(t, name, "postgres"), fleet)
	open := `alter table mtlsguard.generation disable trigger all; alter table mtlsguard.blob disable trigger all; alter table mtlsguard.node disable trigger all;
		alter table mtlsguard.generation drop constraint generation_manifest_check, drop constraint generation_signatures_check, drop constraint generation_number_check;
		alter table mtlsguard.blob drop constraint blob_data_check, drop constraint blob_part_check, drop constraint blob_pkey;
		alter table mtlsguard.node drop constraint node_report_check;`
	content3 := strings.Repeat("0", partSize) + strings.Repeat("1", partSize) + "2"
	good := commit(t, s, nil, content3)
	c.exec(t, name, open)

	// Each statement spoils one thing; a transaction that is rolled back would not be seen by the store.
	reset := `truncate mtlsguard.blob; insert into mtlsguard.blob select * from was_blob; truncate mtlsguard.generation;
		insert into mtlsguard.generation (fleet, number, parent, manifest, signatures, at, role) select fleet, number, parent, manifest, signatures, at, role from was_generation;`
	c.exec(t, name, "create table was_blob as table mtlsguard.blob; create table was_generation as table mtlsguard.generation")
	for _, x := range []struct{ name, sql, want string }{
		{"a manifest of 8 MiB", "update mtlsguard.generation set manifest = repeat('x', 8 << 20)::bytea", "more than 512 KiB"},
		{"signatures of 8 MiB", "update mtlsguard.generation set signatures = repeat('x', 8 << 20)::bytea", "signatures"},
		{"signatures that are no JSON", "update mtlsguard.generation set signatures = '{'", "signatures"},
		{"too many signatures", "update mtlsguard.generation set signatures = ('[' || repeat('{},', 99) || '{}]')::bytea", "at most 16"},
		{"a manifest that is no JSON", "update mtlsguard.generation set manifest = '{'", "not valid JSON"},
		{"another number", "update mtlsguard.generation set number = 7", "as number 7"},
		{"a negative number", "update mtlsguard.generation set number = -1", "as number -1"},
		{"another fleet", "update mtlsguard.generation set manifest = replace(convert_from(manifest, 'UTF8'), 'orders', 'others')::bytea", "of fleet"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c.exec(t, name, reset+x.sql)
			g, err := s.Load(soon(t), nil)
			errorIs(t, err, errStored)
			errorHas(t, err, x.want)
			if g != nil {
				t.Error("there is a generation")
			}
			if history, err := s.History(soon(t), 0, 10); err == nil && len(history) != 0 && !strings.Contains(x.name, "signatures") {
				t.Errorf("the history has %d generations", len(history))
			}
		})
	}
	for _, x := range []struct{ name, sql string }{
		{"no parts", "truncate mtlsguard.blob"},
		{"a part is missing in the middle", "delete from mtlsguard.blob where part = 1"},
		{"the last part is missing", "delete from mtlsguard.blob where part = 2"},
		{"the first part is negative", "update mtlsguard.blob set part = -1 where part = 0"},
		{"a part is twice there", "insert into mtlsguard.blob select * from mtlsguard.blob where part = 1"},
		{"a part of 8 MiB", "update mtlsguard.blob set data = repeat('x', 8 << 20)::bytea where part = 1"},
		{"a part of a byte", "update mtlsguard.blob set data = 'x' where part = 1"},
		{"an empty part", "update mtlsguard.blob set data = '' where part = 2"},
		{"a longer last part", "update mtlsguard.blob set data = '22' where part = 2"},
		{"another content", "update mtlsguard.blob set data = 'x' where part = 2"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c.exec(t, name, reset+x.sql)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := content(load(t, s))
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Errorf("the content has %d bytes, and no error", len(got))
			}
			switch x.name {
			case "no parts":
				errorIs(t, err, fs.ErrNotExist)
			case "another content": // the digest shows it
			default:
				errorIs(t, err, errStored)
			}
			if more := after.TotalAlloc - before.TotalAlloc; more > 20<<20 {
				t.Errorf("reading took %d MiB", more>>20)
			}
		})
	}
	// Parts after the last one are not read.
	c.exec(t, name, reset+"insert into mtlsguard.blob select fleet, digest, n, data from mtlsguard.blob, generate_series(3, 900) n where part = 1")
	if got, err := content(load(t, s)); err != nil || got != content3 {
		t.Errorf("with more parts than the size needs: %d bytes, %v", len(got), err)
	}

	c.exec(t, name, `insert into mtlsguard.node values ('orders', 'a', '{"node":"b"}', now(), ''), ('orders', 'c', '7', now(), ''),
		('orders', 'large', to_json(repeat('x', 1 << 20)), now(), ''), ('orders', 'd', ('{"node":"d","errors":["' || repeat('y', 9000) || '"]}')::json, now(), '')`)
	reports, err := s.Reports(soon(t))
	if err != nil || len(reports) != 3 {
		t.Fatalf("reports: %v, %v, want those of a, c and d", reports, err)
	}
	if reports[0].Number != 0 || len(reports[0].Errors) != 1 || len(reports[2].Errors[0]) > maxError {
		t.Errorf("the reports are %v", reports)
	}
	c.exec(t, name, reset)
	if got := load(t, s); !got.Same(good) {
		t.Error("the generation is another one")
	}
}

// A content that another editor has left under a digest is found by the next editor.
func TestCommitChecksContentThatIsThere(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	name := c.database(t)
	s := storeOf(t, c.pool(t, name, "postgres"), fleet)
	first := commit(t, s, nil, "1")
	second := next(t, first, "22")
	digest := second.Manifest.Files[0].SHA256
	if _, err := s.pool.Exec(soon(t), "insert into mtlsguard.blob values ($1, $2, 0, 'xx')", fleet, digest[:]); err != nil {
		t.Fatal(err)
	}
	err := s.Commit(soon(t), second)
	errorHas(t, err, "mtlsguard.prune")
	c.exec(t, name, "select mtlsguard.prune('orders', 1, '0')")
	if err := s.Commit(soon(t), second); err != nil {
		t.Errorf("after prune: %v", err)
	}
	if err := s.Commit(soon(t), next(t, second, "1")); err != nil {
		t.Errorf("with a content of generation 1: %v", err)
	}
}

// A server that announces a message of 1 GiB does not get memory for it.
func TestLargeMessageIsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				answer := append([]byte{'R'}, binary.BigEndian.AppendUint32(nil, 1<<30-10)...)
				_, _ = conn.Write(append(answer, make([]byte, 1<<20)...))
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
	s := storeOf(t, poolOf(t, "postgres://"+l.Addr().String()+"/x?sslmode=disable", "x"), fleet)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := s.Load(soon(t), nil); err == nil {
		t.Error("load works")
	}
	if err := s.Watch(soon(t), nil); err == nil {
		t.Error("watch works")
	}
	runtime.ReadMemStats(&after)
	if more := after.TotalAlloc - before.TotalAlloc; more > 50<<20 {
		t.Errorf("it took %d MiB", more>>20)
	}
}

func TestReportsAreBounded(t *testing.T) {
	t.Parallel()
	s := sharedCluster(t).store(t, fleet)
	for _, name := range []string{"", "a\x00b", "\xff", strings.Repeat("x", 256)} {
		errorHas(t, s.PutReport(soon(t), source.Report{Node: name}), "is not the name of a node")
	}
	r := source.Report{Node: "a"}
	for range 100 {
		r.Errors = append(r.Errors, strings.Repeat("\x00", 5000))
	}
	if err := s.PutReport(soon(t), r); err != nil {
		t.Fatal(err)
	}
	reports, err := s.Reports(soon(t))
	if err != nil || len(reports) != 1 || len(reports[0].Errors) != maxErrors || len(reports[0].Errors[0]) != maxError {
		t.Errorf("reports: %v, %v", reports, err)
	}
	if _, err := s.pool.Exec(soon(t), `alter table mtlsguard.node disable trigger all;
		insert into mtlsguard.node select 'orders', n, '{}', now(), '' from generate_series(1, 9999) n; alter table mtlsguard.node enable trigger all`, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	errorHas(t, s.PutReport(soon(t), source.Report{Node: "one more"}), "10,000 reports")
	r.Number = 2
	if err := s.PutReport(soon(t), r); err != nil {
		t.Errorf("a node that is known: %v", err)
	}
}
