package natsstore

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mtlsguard/mtlsguard/source"
)

const (
	maxNode    = 255    // bytes of the name of a node
	maxReports = 10_000 // that are read
)

// PutReport implements source.Store. A report is kept for seven days.
func (s *Store) PutReport(ctx context.Context, r source.Report) error {
	if r.Node == "" || len(r.Node) > maxNode {
		return fmt.Errorf("the name of the node has %d bytes: 1 to %d are allowed", len(r.Node), maxNode)
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if len(data) > reportSize {
		return fmt.Errorf("the report has %d bytes, and at most %d are allowed", len(data), reportSize)
	}
	kv, err := s.create(ctx, s.nodes())
	if err != nil {
		return err
	}
	return s.put(ctx, kv, nodeKey(r.Node), data)
}

// Reports implements source.Store. A report that cannot be read is one with that error.
func (s *Store) Reports(ctx context.Context) ([]source.Report, error) {
	var out []source.Report
	err := s.list(ctx, s.nodes(), func(e jetstream.KeyValueEntry) error {
		if len(out) == maxReports {
			return fmt.Errorf("there are more than %d nodes", maxReports)
		}
		out = append(out, readReport(e.Key(), e.Value()))
		return nil
	})
	slices.SortFunc(out, func(a, b source.Report) int { return strings.Compare(a.Node, b.Node) })
	return out, err
}

// readReport decodes a report. Its node is that of the key, for which the server checks permissions.
func readReport(key string, data []byte) source.Report {
	node, err := nodeOf(key)
	if err != nil {
		node = key
	}
	var r source.Report
	if err == nil && len(data) > reportSize {
		err = fmt.Errorf("it has %d bytes", len(data))
	}
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err == nil && r.Node != node {
		err = fmt.Errorf("it is under the name %q, and names another node", node)
	}
	if err != nil {
		return source.Report{Node: node, Errors: []string{"the report cannot be read: " + err.Error()}}
	}
	return r
}

// nodeKey returns the key of the report of a node: its name, with = and two hexadecimal digits for
// each byte that a key cannot hold.
func nodeKey(node string) string {
	var b strings.Builder
	for _, c := range []byte(node) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

// nodeOf returns the name of a node from its key.
func nodeOf(key string) (string, error) {
	node, err := url.PathUnescape(strings.ReplaceAll(key, "=", "%"))
	if err != nil || nodeKey(node) != key {
		return "", fmt.Errorf("the key %q is not the name of a node", key)
	}
	return node, nil
}
