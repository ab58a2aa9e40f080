package postgres

import (
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// For tests of the package from outside: those of whole servers.
type Cluster = cluster

var (
	OwnCluster = ownCluster
	PoolOf     = poolOf
)

func (c *cluster) Stop(s syscall.Signal)         { c.stop(s) }
func (c *cluster) Start(tb testing.TB)           { c.start(tb) }
func (c *cluster) Database(tb testing.TB) string { return c.database(tb) }
func (c *cluster) Pool(tb testing.TB, database, role string) *pgxpool.Pool {
	return c.pool(tb, database, role)
}
func (c *cluster) Port() int { return c.port }
