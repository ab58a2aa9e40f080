package etcdstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mtlsguard/mtlsguard/source"
)

const (
	nodePrefix = "node/"
	reportSize = 64 << 10 // bytes of a report
	reportTTL  = 7 * 24 * time.Hour
	leaseFor   = 24 * time.Hour // a lease takes reports; a later one has a new lease
	maxNode    = 255            // bytes of the name of a node
	maxReports = 10_000         // that are read
	pageSize   = 32             // reports of one answer: 2 MiB
)

// PutReport implements source.Store. A report is kept for six days at least.
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
	return s.request(ctx, "report", func(ctx context.Context, c *clientv3.Client) error {
		for attempt := 1; ; attempt++ {
			lease, err := s.leaseOf(ctx, c, attempt > 1)
			if err != nil {
				return err
			}
			_, err = c.Put(ctx, s.prefix+nodePrefix+r.Node, string(data), clientv3.WithLease(lease))
			if !errors.Is(err, rpctypes.ErrLeaseNotFound) || attempt == 2 {
				return err
			}
		}
	})
}

// leaseOf returns the lease of the reports of this store.
func (s *Store) leaseOf(ctx context.Context, c *clientv3.Client, lost bool) (clientv3.LeaseID, error) {
	s.mu.Lock()
	lease, granted := s.lease, s.granted
	s.mu.Unlock()
	if lease != 0 && !lost && time.Since(granted) < leaseFor {
		return lease, nil
	}
	answer, err := c.Grant(ctx, int64(reportTTL/time.Second))
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lease, s.granted = answer.ID, time.Now()
	return s.lease, nil
}

// Reports implements source.Store. A report that cannot be read is one with that error.
func (s *Store) Reports(ctx context.Context) ([]source.Report, error) {
	var out []source.Report
	err := s.list(ctx, nodePrefix, pageSize, false, func(key string, data []byte) error {
		if len(out) == maxReports {
			return fmt.Errorf("there are more than %d nodes", maxReports)
		}
		out = append(out, readReport(strings.TrimPrefix(key, nodePrefix), data))
		return nil
	})
	slices.SortFunc(out, func(a, b source.Report) int { return strings.Compare(a.Node, b.Node) })
	return out, err
}

// readReport decodes a report. Its node is that of the key, for which the server checks permissions.
func readReport(node string, data []byte) source.Report {
	var r source.Report
	err := error(nil)
	if len(data) > reportSize {
		err = fmt.Errorf("it has %d bytes", len(data))
	} else {
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

// maxKeys bounds how many keys are listed: 256 GiB of parts.
const maxKeys = 1 << 20

// list calls each with every key below a prefix, in order, and page keys in one request.
func (s *Store) list(ctx context.Context, below string, page int64, keysOnly bool, each func(key string, data []byte) error) error {
	next := s.prefix + below
	end := clientv3.GetPrefixRangeEnd(next)
	for n := 0; ; {
		options := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(page)}
		if keysOnly {
			options = append(options, clientv3.WithKeysOnly())
		}
		var answer *clientv3.GetResponse
		err := s.request(ctx, "list "+s.prefix+below, func(ctx context.Context, c *clientv3.Client) (err error) {
			answer, err = c.Get(ctx, next, options...)
			return err
		})
		if status.Code(err) == codes.ResourceExhausted && page > 1 {
			page = 1 // large values must not hide those of others
			continue
		}
		if err != nil {
			return err
		}
		for _, kv := range answer.Kvs {
			key, ok := strings.CutPrefix(string(kv.Key), s.prefix)
			if !ok || string(kv.Key) < next || n == maxKeys {
				return fmt.Errorf("list %s%s: the answer has the key %q, or there are more than %d", s.prefix, below, kv.Key, maxKeys)
			}
			if err := each(key, kv.Value); err != nil {
				return err
			}
			next = string(kv.Key) + "\x00"
			n++
		}
		if !answer.More || len(answer.Kvs) == 0 {
			return nil
		}
	}
}
