package e2e

import (
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
	"github.com/mtlsguard/mtlsguard/source"
	etcdstore "github.com/mtlsguard/mtlsguard/store/etcd"
)

// Thirty of a hundred nodes are cut off from the server in several ways while changes come.
func TestPartition(t *testing.T) {
	e := newEngine(t)
	storetest.Partition(t, e.forTests(), e.client.Host, e.openAt)
}

// An edit on the admin page of a node is a generation in the store, and a server that hangs does not block the
// page.
func TestAdminPage(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	storetest.AdminPage(t, e.forTests(), e.client.Host, e.openAt)
}

// openAt opens a store at an address.
func (e *engine) openAt(addr string) source.Store {
	return open(e.t, etcdstore.Config{Client: clientv3.Config{Endpoints: []string{"http://" + addr}}, Fleet: fleet})
}
