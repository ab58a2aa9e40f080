package e2e

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
	etcdstore "github.com/mtlsguard/mtlsguard/store/etcd"
	natsstore "github.com/mtlsguard/mtlsguard/store/nats"
)

// A fleet in a folder.
func TestFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	newEditor(t, "MTLSGUARD_STORE="+dir).journey(source.Folder(dir))
}

// A fleet in NATS, whose password is in the environment.
func TestNATS(t *testing.T) {
	t.Parallel()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
		Username: "anna", Password: "editors-only",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(testkit.Patience) {
		t.Fatal("the nats-server does not start")
	}
	at := "nats://anna:editors-only@" + s.Addr().String()
	store, err := natsstore.Open(natsstore.Config{URL: at, Fleet: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	e := newEditor(t, "MTLSGUARD_STORE="+at)
	e.journey(store)
	e.pruned()
	e.store = []string{"MTLSGUARD_STORE=" + strings.Replace(at, "editors", "nodes", 1)}
	if out := e.run(2, "log", "--timeout", "3s"); !strings.HasPrefix(out, "error: the store: ") || strings.Contains(out, "nodes-only") {
		t.Error(out)
	}
}

// A fleet in etcd.
func TestEtcd(t *testing.T) {
	t.Parallel()
	c := embed.NewConfig()
	client, peer := url.URL{Scheme: "http", Host: testkit.FreeAddress(t)}, url.URL{Scheme: "http", Host: testkit.FreeAddress(t)}
	c.Name, c.Dir, c.LogLevel, c.UnsafeNoFsync = "test", t.TempDir(), "fatal", true
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.InitialCluster = "test=" + peer.String()
	c.TickMs, c.ElectionMs = 20, 200
	etcd, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	select {
	case <-etcd.Server.ReadyNotify():
	case <-time.After(testkit.Patience):
		t.Fatal("etcd is not ready")
	}
	store, err := etcdstore.Open(etcdstore.Config{Client: clientv3.Config{Endpoints: []string{client.String()}}, Fleet: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	e := newEditor(t, "MTLSGUARD_STORE=etcd://"+client.Host)
	e.journey(store)
	e.pruned()
}
