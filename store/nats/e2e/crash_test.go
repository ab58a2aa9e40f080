package e2e

import (
	"bytes"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
)

// dyingDialer makes connections that die before the write of a message number after.
type dyingDialer struct {
	after int32
	wrote *atomic.Int32
}

func (d dyingDialer) Dial(network, address string) (net.Conn, error) {
	if d.wrote.Load() > d.after {
		return nil, errors.New("the editor has crashed")
	}
	c, err := net.Dial(network, address)
	return &dyingConn{Conn: c, dialer: d}, err
}

type dyingConn struct {
	net.Conn
	dialer dyingDialer
}

func (c *dyingConn) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("PUB $KV.")) && c.dialer.wrote.Add(1) > c.dialer.after {
		_, _ = c.Conn.Write(p[:len(p)/2]) // in the middle of the message
		c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// An editor that dies at any write leaves the parent as the newest, and the next one can commit.
func TestACommitThatDiesAtAnyWriteIsNotVisible(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	admin := e.store()
	parent := commit(t, admin, next(t, nil, 300<<10))
	writes := 0
	for after := int32(0); ; after++ {
		var wrote atomic.Int32
		editor := e.store(nats.SetCustomDialer(dyingDialer{after, &wrote}), nats.NoReconnect())
		g := next(t, parent, 600<<10, 300<<10) // 3 + 2 parts, 2 small files, history, head
		err := editor.Commit(t.Context(), g)
		newest, loadErr := admin.Load(t.Context(), nil)
		if loadErr != nil {
			t.Fatal(loadErr)
		}
		if err == nil {
			if !newest.Same(g) {
				t.Error("the commit succeeded, and is not the newest")
			}
			break
		}
		writes++
		if !newest.Same(parent) {
			t.Fatalf("after %d writes (%v) the newest is generation %d by %s", after, err, newest.Manifest.Number, newest.Manifest.Author)
		}
		if _, err := newest.Fetch(t.Context()); err != nil {
			t.Fatalf("after %d writes: %v", after, err)
		}
		if all, err := admin.History(t.Context(), 0, 10); err != nil || len(all) != int(parent.Manifest.Number) {
			t.Errorf("after %d writes the history is %v, %v", after, all, err)
		}
		parent = commit(t, admin, next(t, parent, 600<<10, 300<<10))
	}
	if writes != 9 {
		t.Errorf("there were %d writes, want 9: is each of them tested?", writes)
	}
}

func TestALoadNeverMixesGenerations(t *testing.T) {
	t.Parallel()
	storetest.LoadNeverMixesGenerations(t, newEngine(t).forTests())
}
