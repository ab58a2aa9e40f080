package postgres

import (
	"testing"

	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
)

var _ source.Store = (*Store)(nil)

func TestStoreKeepsItsPromises(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	name := c.database(t)
	sourcetest.Run(t, func(t *testing.T) source.Store {
		c.exec(t, name, "drop schema mtlsguard cascade;"+Schema)
		return storeOf(t, c.pool(t, name, "postgres"), sourcetest.Fleet)
	})
}
