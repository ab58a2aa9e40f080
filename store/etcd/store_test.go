package etcdstore

import (
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestConfigurationErrors(t *testing.T) {
	t.Parallel()
	client := clientv3.Config{Endpoints: []string{"http://127.0.0.1:1"}}
	for want, c := range map[string]Config{
		`the fleet "" cannot be`:     {Client: client},
		`the fleet "a/b" cannot be`:  {Client: client, Fleet: "a/b"},
		"Client.Endpoints is empty":  {Fleet: "a"},
		"the field Heartbeat is -1s": {Client: client, Fleet: "a", Heartbeat: -time.Second},
	} {
		if _, err := Open(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}

// With a password a client asks etcd for a token when it is made: that must not keep a node from starting.
func TestOpenNeedsNoServer(t *testing.T) {
	t.Parallel()
	s, err := Open(Config{Fleet: "a", Client: clientv3.Config{Endpoints: []string{"http://127.0.0.1:1"}, Username: "anna", Password: "secret", DialTimeout: 50 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Load(t.Context(), nil); err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("load: %v", err)
	}
	s.Close()
	if _, err := s.Load(t.Context(), nil); err == nil {
		t.Error("load after Close: no error")
	}
	if err := s.Watch(t.Context(), nil); err == nil {
		t.Error("watch after Close: no error")
	}
}

func FuzzReadReport(f *testing.F) {
	f.Add("a", []byte(`{"node":"a","number":1,"at":"2026-11-29T12:00:00Z"}`))
	f.Fuzz(func(t *testing.T, node string, data []byte) {
		if r := readReport(node, data); r.Node != node {
			t.Errorf("the report under %q is of %q, want %q", node, r.Node, node)
		}
	})
}
