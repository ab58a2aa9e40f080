package e2e

import (
	"testing"

	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
	etcdstore "github.com/mtlsguard/mtlsguard/store/etcd"
)

func TestTheStoreKeepsItsPromises(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) source.Store {
		return open(t, etcdstore.Config{Client: newEngine(t).config(), Fleet: sourcetest.Fleet})
	})
}
