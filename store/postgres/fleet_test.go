package postgres_test

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/store/postgres"
)

// engine is a server with a database for package storetest.
type engine struct {
	testing.TB
	cluster  *postgres.Cluster
	database string
}

func newEngine(tb testing.TB) *engine {
	tb.Helper()
	c := postgres.OwnCluster(tb)
	return &engine{tb, c, c.Database(tb)}
}

func (e *engine) addr() string { return fmt.Sprintf("127.0.0.1:%d", e.cluster.Port()) }

// openAt opens a store at an address, with a pool of its own.
func (e *engine) openAt(addr string) source.Store {
	e.Helper()
	store := postgres.New(postgres.PoolOf(e, fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", addr, e.database), "postgres"), storetest.Fleet)
	e.Cleanup(store.Close)
	return store
}

func (e *engine) forTests() storetest.Engine {
	return storetest.Engine{
		Open: func() source.Store { return e.openAt(e.addr()) },
		Stop: func() { e.cluster.Stop(syscall.SIGQUIT) }, Start: func() { e.cluster.Start(e) },
	}
}

// Three nodes follow the database: a commit is in effect through TLS, an outage refuses no caller, and the first commit after it is
// in effect at once.
func TestThreeNodesFollowPostgreSQL(t *testing.T) {
	storetest.ThreeNodes(t, newEngine(t).forTests())
}

// Of a change, a node with 50,000 mappings fetches and parses what has changed only.
func TestALargeNodeParsesWhatHasChanged(t *testing.T) {
	storetest.LargeNode(t, newEngine(t).forTests())
}

// Thirty of a hundred nodes are cut off from the database in several ways while changes come.
func TestPartition(t *testing.T) {
	e := newEngine(t)
	storetest.Partition(t, e.forTests(), e.addr(), e.openAt)
}

// An edit on the admin page of a node is a generation in the database, and a database that hangs does not block the
// page.
func TestAdminPage(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	storetest.AdminPage(t, e.forTests(), e.addr(), e.openAt)
}
