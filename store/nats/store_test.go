package natsstore

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestConfigurationErrors(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Config{
		`the fleet "" cannot be`:          {},
		`the fleet "a.b" cannot be`:       {Fleet: "a.b"},
		`the fleet "*" cannot be`:         {Fleet: "*"},
		`the fleet "a b" cannot be`:       {Fleet: "a b"},
		"Replicas is 7":                   {Fleet: "a", Replicas: 7},
		"Heartbeat is -1ns":               {Fleet: "a", Heartbeat: -1},
		"connect to NATS at nats://xxxxx": {Fleet: "a", URL: "nats://anna:secret@127.0.0.1:1", Options: []nats.Option{nats.RetryOnFailedConnect(false)}},
	} {
		s, err := Open(c)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}

// No two nodes have the same key, and no two fleets the same bucket.
func TestNamesAreUnambiguous(t *testing.T) {
	t.Parallel()
	for _, node := range []string{"node-1", "a/../ü", "a.b", "=", "=41", "A", ">", "*", " ", "\x00", "\xff", "%41"} {
		key := nodeKey(node)
		if got, err := nodeOf(key); err != nil || got != node {
			t.Errorf("%q has the key %q, which is that of %q, %v", node, key, got, err)
		}
	}
	for _, key := range []string{"=", "=4", "=zz", "=41", "=c3", "a.b", "%41"} {
		if node, err := nodeOf(key); err == nil {
			t.Errorf("the key %q is that of %q", key, node)
		}
	}
	names := map[string]bool{}
	for _, fleet := range []string{"a", "blobs_a", "-blobs_a", "a_blobs", "nodes_a", "a-nodes"} {
		s := &Store{config: Config{Fleet: fleet}}
		for _, name := range []string{s.manifests(), s.blobs(), s.nodes()} {
			if names[name] {
				t.Errorf("two buckets have the name %s", name)
			}
			names[name] = true
		}
	}
}

func FuzzNodeOf(f *testing.F) {
	f.Add("a=2Fb")
	f.Fuzz(func(t *testing.T, key string) {
		if node, err := nodeOf(key); err == nil && nodeKey(node) != key {
			t.Errorf("%q is the key of %q, whose key is %q", key, node, nodeKey(node))
		}
		if node, err := nodeOf(nodeKey(key)); err != nil || node != key {
			t.Errorf("the key of %q is that of %q, %v", key, node, err)
		}
	})
}

func FuzzReadReport(f *testing.F) {
	f.Add("a", []byte(`{"node":"a","number":1,"at":"2026-11-29T12:00:00Z"}`))
	f.Fuzz(func(t *testing.T, key string, data []byte) {
		r := readReport(key, data)
		if node, err := nodeOf(key); err == nil && r.Node != node {
			t.Errorf("the report under %q is of %q", key, r.Node)
		}
	})
}
