package e2e

import (
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
	"github.com/mtlsguard/mtlsguard/source"
	natsstore "github.com/mtlsguard/mtlsguard/store/nats"
)

// Thirty of a hundred nodes are cut off from the server in several ways while changes come.
func TestPartition(t *testing.T) {
	e := newEngine(t)
	storetest.Partition(t, e.forTests(), e.server.Addr().String(), e.openAt)
}

// An edit on the admin page of a node is a generation in the store, and a server that hangs does not block the
// page.
func TestAdminPage(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	storetest.AdminPage(t, e.forTests(), e.server.Addr().String(), e.openAt)
}

// openAt opens a store at an address.
func (e *engine) openAt(addr string) source.Store {
	return open(e.t, natsstore.Config{URL: "nats://" + addr, Fleet: fleet})
}
