package e2e

import (
	"net/url"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
	etcdstore "github.com/mtlsguard/mtlsguard/store/etcd"
)

const fleet = storetest.Fleet

var (
	next     = storetest.Next
	commit   = storetest.Commit
	follow   = storetest.Follow
	waitFor  = storetest.WaitFor
	newProxy = storetest.NewProxy
)

// forTests returns the engine for package storetest.
func (e *engine) forTests() storetest.Engine {
	return storetest.Engine{Open: func() source.Store { return e.store() }, Stop: e.stop, Start: e.start}
}

// engine is an etcd of the test.
type engine struct {
	t            testing.TB
	folder       string
	client, peer url.URL
	etcd         *embed.Etcd
	between      *storetest.Proxy // between stores and etcd; nil: none
}

// newEngine starts an empty etcd. It is stopped when the test ends.
func newEngine(t testing.TB) *engine {
	t.Helper()
	e := &engine{t: t, folder: t.TempDir(), client: url.URL{Scheme: "http", Host: testkit.FreeAddress(t)}, peer: url.URL{Scheme: "http", Host: testkit.FreeAddress(t)}}
	e.start()
	t.Cleanup(e.stop)
	return e
}

func (e *engine) start() {
	e.t.Helper()
	var err error
	for range 50 { // the ports may be in use by connections that are not closed yet
		c := embed.NewConfig()
		c.Name, c.Dir, c.LogLevel, c.UnsafeNoFsync = "test", e.folder, "fatal", true
		c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{e.client}, []url.URL{e.client}
		c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{e.peer}, []url.URL{e.peer}
		c.InitialCluster = "test=" + e.peer.String()
		c.TickMs, c.ElectionMs = 20, 200
		if e.etcd, err = embed.StartEtcd(c); err == nil {
			select {
			case <-e.etcd.Server.ReadyNotify():
				return
			case <-time.After(testkit.Patience):
				e.t.Fatal("etcd is not ready")
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	e.t.Fatal(err)
}

func (e *engine) stop() {
	if e.etcd == nil {
		return
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		e.etcd.Close()
	}()
	for e.between != nil { // a graceful stop would wait for the clients that watch
		e.between.Cut()
		select {
		case <-closed:
			e.etcd = nil
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
	<-closed
	e.etcd = nil
}

// restart stops the server and starts it again after a pause.
func (e *engine) restart(pause time.Duration) {
	e.t.Helper()
	e.stop()
	time.Sleep(pause)
	e.start()
}

func (e *engine) config() clientv3.Config {
	if e.between != nil {
		return clientv3.Config{Endpoints: []string{"http://" + e.between.Addr()}}
	}
	return clientv3.Config{Endpoints: []string{e.client.String()}}
}

// store returns a store of the fleet. It is closed when the test ends.
func (e *engine) store(options ...grpc.DialOption) *etcdstore.Store {
	e.t.Helper()
	c := e.config()
	c.DialOptions = options
	return open(e.t, etcdstore.Config{Client: c, Fleet: fleet})
}

func open(t testing.TB, c etcdstore.Config) *etcdstore.Store {
	t.Helper()
	s, err := etcdstore.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// admin returns a plain client: that of an administrator or an attacker.
func (e *engine) admin() *clientv3.Client {
	e.t.Helper()
	c, err := clientv3.New(e.config())
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	return c
}

// keys returns the keys below a prefix.
func (e *engine) keys(below string) []string {
	e.t.Helper()
	answer, err := e.admin().Get(e.t.Context(), "/mtlsguard/"+fleet+"/"+below, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		e.t.Fatal(err)
	}
	var keys []string
	for _, kv := range answer.Kvs {
		keys = append(keys, string(kv.Key))
	}
	return keys
}
