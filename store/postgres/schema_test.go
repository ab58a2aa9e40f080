package postgres

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mtlsguard/mtlsguard/source"
)

func TestRolesMayOnlyWhatTheyNeed(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	name := c.database(t)
	c.exec(t, name, Schema) // once more changes nothing
	c.exec(t, name, Roles+Roles+`
		create role node_1 login; grant mtlsguard_reader to node_1;
		create role anna login; grant mtlsguard_editor to anna;
		create role stranger login`)
	owner := storeOf(t, c.pool(t, name, "postgres"), fleet)
	node := storeOf(t, c.pool(t, name, "node_1"), fleet)
	anna := storeOf(t, c.pool(t, name, "anna"), fleet)
	stranger := storeOf(t, c.pool(t, name, "stranger"), fleet)
	first := commit(t, anna, nil, "1")

	g := load(t, node)
	if got, err := content(g); err != nil || got != "1" {
		t.Errorf("a node reads %q, %v, want 1", got, err)
	}
	if err := node.Watch(soon(t), nil); err != nil {
		t.Errorf("a node watches: %v", err)
	}
	if err := node.PutReport(soon(t), source.Report{Node: "node-1", Number: 1}); err != nil {
		t.Errorf("a node reports: %v", err)
	}
	if reports, err := anna.Reports(soon(t)); err != nil || len(reports) != 1 {
		t.Errorf("an editor reads reports: %v, %v", reports, err)
	}
	err := node.Commit(soon(t), next(t, first, "2"))
	errorHas(t, err, "mtlsguard_editor to editors")
	_, err = stranger.Load(soon(t), nil)
	errorHas(t, err, "mtlsguard_reader to nodes")

	denied := []string{
		"update mtlsguard.generation set manifest = ''", "delete from mtlsguard.generation", "truncate mtlsguard.generation",
		"update mtlsguard.blob set data = 'x'", "delete from mtlsguard.blob", "truncate mtlsguard.blob",
		"select mtlsguard.prune('orders', 1, '0')", "create table mtlsguard.other ()", "drop table mtlsguard.node",
		"alter table mtlsguard.generation disable trigger all",
	}
	for _, sql := range denied {
		for _, role := range []string{"node_1", "anna", "stranger"} {
			if err := c.try(name, role, sql); err == nil || !strings.Contains(err.Error(), "denied") && !strings.Contains(err.Error(), "must be owner") {
				t.Errorf("%s as %s: %v, want that it is denied", sql, role, err)
			}
		}
	}
	for _, sql := range denied[:6] {
		if err := c.try(name, "postgres", sql); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s as the owner: %v, want that it is refused", sql, err)
		}
	}
	if got := load(t, owner); !got.Same(first) {
		t.Error("the generation has changed")
	}
	c.exec(t, name, "create role cron login; grant usage on schema mtlsguard to cron; grant execute on function mtlsguard.prune to cron")
	if err := c.try(name, "cron", "select mtlsguard.prune('orders', 1, '0')"); err != nil {
		t.Errorf("prune by a role to whom it was granted: %v", err)
	}
	if err := c.try(name, "cron", "delete from mtlsguard.generation"); err == nil {
		t.Error("a role that may prune may delete")
	}
	var role string
	if err := owner.pool.QueryRow(soon(t), "select role from mtlsguard.generation").Scan(&role); err != nil || role != "anna" {
		t.Errorf("the generation is by the role %q, %v, want anna", role, err)
	}
}

func TestDatabaseRefusesGenerationsThatDoNotFollow(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	name := c.database(t)
	s := storeOf(t, c.pool(t, name, "postgres"), fleet)
	first := commit(t, s, nil, "1")
	second := next(t, first, "2")
	const insert = `insert into mtlsguard.generation (fleet, number, parent, manifest, signatures) values ($1, $2, $3, $4, '[]')`
	digest := first.Digest()
	third := next(t, second, "3")
	otherFleet, err := source.Next(nil, source.Manifest{Fleet: "other", Author: "anna"}, second.FS())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name      string
		arguments []any
		want      string
	}{
		{"files are missing", []any{fleet, 2, digest[:], second.Raw}, "MG001"},
		{"the number is too high", []any{fleet, 3, digest[:], third.Raw}, "23505"},
		{"the number is there", []any{fleet, 1, []byte{}, first.Raw}, "23505"},
		{"the parent is another", []any{fleet, 2, make([]byte, 32), second.Raw}, "23505"},
		{"the manifest has another number", []any{fleet, 2, digest[:], third.Raw}, "P0001"},
		{"the manifest is of another fleet", []any{"third", 1, []byte{}, otherFleet.Raw}, "P0001"},
		{"the manifest is no JSON", []any{fleet, 2, digest[:], []byte("{")}, "22P02"},
	} {
		t.Run(x.name, func(t *testing.T) {
			if _, err := s.pool.Exec(soon(t), insert, x.arguments...); code(err) != x.want {
				t.Errorf("insert: %v, want SQLSTATE %s", err, x.want)
			}
		})
	}
	err = c.try(name, "postgres", "begin isolation level repeatable read; insert into mtlsguard.generation (fleet, number, parent, manifest, signatures) values ('orders', 2, '', '', '')")
	errorHas(t, err, "READ COMMITTED")
	err = c.try(name, "postgres", "insert into mtlsguard.blob values ('orders', sha256('x'), -1, 'x')")
	errorHas(t, err, "part_check")
	if got := load(t, s); !got.Same(first) {
		t.Error("the newest generation has changed")
	}
}

func TestSchemaNeedsUTF8(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	c.exec(t, "postgres", "create database latin1 encoding 'LATIN1' template template0")
	errorHas(t, c.try("latin1", "postgres", Schema), "must be UTF8")
}

func TestMissingSchemaIsNamed(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	s := storeOf(t, c.pool(t, "postgres", "postgres"), fleet)
	_, err := s.Load(soon(t), nil)
	errorHas(t, err, "schema.sql")
	errorHas(t, s.Watch(soon(t), nil), "schema.sql")
	for _, name := range []string{"", "a\x00b", "\xff"} {
		_, err := New(s.pool, name).Load(soon(t), nil)
		errorHas(t, err, "is not the name of a fleet")
	}
	errorHas(t, New(nil, fleet).Watch(soon(t), nil), "the pool is nil")
}

func TestPruneKeepsWhatIsNewAndWhatItNames(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	name := c.database(t)
	s := storeOf(t, c.pool(t, name, "postgres"), fleet)
	other := storeOf(t, s.pool, "other")
	g, err := source.Next(nil, source.Manifest{Fleet: "other", Author: "anna"}, next(t, nil, "same").FS())
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Commit(soon(t), g); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", 3*partSize)
	var parent *source.Generation
	for _, text := range []string{"same", large, "2", "same", "3", "4"} {
		parent = commit(t, s, parent, text)
	}
	// The clock of the database made all of them just now; the test makes the first four old.
	c.exec(t, name, `alter table mtlsguard.generation disable trigger all;
		update mtlsguard.generation set at = now() - interval '100 days' where fleet = 'orders' and number <= 4;
		alter table mtlsguard.generation enable trigger all;
		alter table mtlsguard.node disable trigger all;
		insert into mtlsguard.node values ('orders', 'old', '{}', now() - interval '100 days', 'x'), ('orders', 'new', '{}', now(), 'x');
		alter table mtlsguard.node enable trigger all`)
	prune := func(keep int, younger string) (generations, parts, nodes int) {
		t.Helper()
		if err := s.pool.QueryRow(soon(t), "select * from mtlsguard.prune('orders', $1, $2::text::interval)", keep, younger).Scan(&generations, &parts, &nodes); err != nil {
			t.Fatal(err)
		}
		return generations, parts, nodes
	}
	if generations, parts, _ := prune(1, "200 days"); generations+parts != 0 {
		t.Errorf("prune of what is younger removed %d generations and %d parts", generations, parts)
	}
	if generations, parts, nodes := prune(10, "0"); generations+parts != 0 || nodes != 1 {
		t.Errorf("prune of fewer than it keeps removed %d generations, %d parts and %d nodes, want only the old node", generations, parts, nodes)
	}
	if generations, parts, nodes := prune(3, "90 days"); generations != 3 || parts != 4 || nodes != 0 {
		t.Errorf("prune removed %d generations, %d parts and %d nodes, want 3, and 4 (of the large one, and 2)", generations, parts, nodes)
	}
	for number, want := range map[uint64]string{4: "same", 5: "3", 6: "4"} {
		g, err := s.At(soon(t), number)
		if err != nil {
			t.Fatalf("at %d: %v", number, err)
		}
		if got, err := content(g); err != nil || got != want {
			t.Errorf("generation %d has %q, %v, want %q", number, got, err, want)
		}
	}
	if _, err := s.At(soon(t), 3); !errors.Is(err, source.ErrNone) {
		t.Errorf("at 3: %v, want ErrNone", err)
	}
	if history, err := s.History(soon(t), 0, 10); err != nil || len(history) != 3 {
		t.Errorf("the history has %d generations, %v, want 3", len(history), err)
	}
	if got, err := content(load(t, other)); err != nil || got != "same" {
		t.Errorf("the other fleet has %q, %v, want what it had", got, err)
	}
	parent = commit(t, s, parent, large) // what was pruned is added again
	if got, err := content(load(t, s)); err != nil || got != large {
		t.Errorf("a content that was pruned: %d bytes, %v", len(got), err)
	}
	for _, sql := range []string{"select mtlsguard.prune('orders', 0, '0')", "select mtlsguard.prune('orders', 1, '-1 day')", "select mtlsguard.prune('orders', null, '0')"} {
		if err := c.try(name, "postgres", sql); err == nil {
			t.Errorf("%s is allowed", sql)
		}
	}
	if err := c.try(name, "postgres", "select mtlsguard.prune('orders', 1, '0'); delete from mtlsguard.generation"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("delete after prune in the same transaction: %v, want that it is refused", err)
	}
	commit(t, s, parent, "5")
}

// prune removes a blob that an editor has just found, and therefore does not add.
func TestCommitAddsWhatIsPrunedMeanwhile(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	name := c.database(t)
	s := storeOf(t, c.pool(t, name, "postgres"), fleet)
	first := commit(t, s, nil, "old")
	second := commit(t, s, first, "2")
	old, fresh := first.Manifest.Files[0].SHA256, 0
	for ; ; fresh++ { // blobs are added in the order of their digests
		if d := source.DigestOf([]byte(strconv.Itoa(fresh))); bytes.Compare(d[:], old[:]) > 0 && fresh != 2 {
			break
		}
	}
	third, err := source.Next(second, source.Manifest{Fleet: fleet, Author: "anna"}, fstest.MapFS{"a": {Data: []byte("old")}, "b": {Data: []byte(strconv.Itoa(fresh))}})
	if err != nil {
		t.Fatal(err)
	}
	pruned := 0
	hooked, err := source.New(third.Raw, nil, func(ctx context.Context, f source.File) (io.ReadCloser, error) {
		if f.Name == "b" && pruned == 0 {
			pruned++
			c.exec(t, name, "select mtlsguard.prune('orders', 1, '0')")
		}
		return third.Open(ctx, f)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(soon(t), hooked); err != nil || pruned != 1 {
		t.Fatalf("commit: %v, after %d prunes", err, pruned)
	}
	if got, err := content(load(t, s)); err != nil || got != "old" {
		t.Errorf("the content is %q, %v", got, err)
	}
}
