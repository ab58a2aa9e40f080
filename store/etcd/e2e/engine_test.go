package e2e

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"testing"
	"testing/fstest"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"

	"github.com/mtlsguard/mtlsguard/source"
	etcdstore "github.com/mtlsguard/mtlsguard/store/etcd"
)

// fleet is the name of the fleet of these tests.
const fleet = "orders"

// engine is an etcd of the test.
type engine struct {
	t            testing.TB
	folder       string
	client, peer url.URL
	etcd         *embed.Etcd
	between      *proxy // between stores and etcd; nil: none
}

// newEngine starts an empty etcd. It is stopped when the test ends.
func newEngine(t testing.TB) *engine {
	t.Helper()
	e := &engine{t: t, folder: t.TempDir(), client: url.URL{Scheme: "http", Host: freeAddress(t)}, peer: url.URL{Scheme: "http", Host: freeAddress(t)}}
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
			case <-time.After(20 * time.Second):
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
	for e.between != nil { // etcd waits for clients that watch, if they let it
		e.between.cut()
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
		return clientv3.Config{Endpoints: []string{e.between.url()}}
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

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// next returns the generation after parent. Each of its files holds its number.
func next(t testing.TB, parent *source.Generation, sizes ...int) *source.Generation {
	t.Helper()
	number := uint64(1)
	if parent != nil {
		number = parent.Manifest.Number + 1
	}
	files := fstest.MapFS{}
	for i, size := range append([]int{8, 8}, sizes...) {
		data := make([]byte, size)
		copy(data, fmt.Sprintf("%d %d", number, i))
		files[fmt.Sprintf("file-%d", i)] = &fstest.MapFile{Data: data}
	}
	g, err := source.Next(parent, source.Manifest{Fleet: fleet, Author: "anna"}, files)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// commit commits a generation.
func commit(t testing.TB, s source.Store, g *source.Generation) *source.Generation {
	t.Helper()
	if err := s.Commit(t.Context(), g); err != nil {
		t.Fatalf("commit of generation %d: %v", g.Manifest.Number, err)
	}
	return g
}

// follow follows a source as a node does: it calls seen with each new generation, fetched as a whole, until ctx ends.
func follow(ctx context.Context, s source.Source, seen func(*source.Generation)) {
	var have *source.Generation
	for ctx.Err() == nil {
		if err := s.Watch(ctx, have); err != nil {
			if sleep(ctx, 100*time.Millisecond) != nil {
				return
			}
		}
		g, err := s.Load(ctx, have)
		if err != nil || g == have {
			continue
		}
		if g, err = g.Fetch(ctx, have); err != nil {
			continue
		}
		have = g
		seen(g)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
