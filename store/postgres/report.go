package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/mtlsguard/mtlsguard/source"
)

// Bounds of a report, as source.Report names them.
const (
	maxErrors = 20
	maxError  = 500
	maxNode   = 255
	maxReport = 64 << 10
)

// PutReport replaces the report of a node; see source.Store. It keeps the first 20 errors, and the first 500 bytes of each.
func (s *Store) PutReport(ctx context.Context, r source.Report) error {
	if r.Node == "" || len(r.Node) > maxNode || !utf8.ValidString(r.Node) || strings.Contains(r.Node, "\x00") {
		return fmt.Errorf("postgres: %.80q is not the name of a node: it has 1 to %d bytes of UTF-8", r.Node, maxNode)
	}
	data, err := json.Marshal(bounded(r))
	if err != nil {
		return err
	}
	return s.query(ctx, s.times.answer, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `insert into mtlsguard.node (fleet, node, report) values ($1, $2, $3::text::json)
			on conflict (fleet, node) do update set report = excluded.report`, mode, s.fleet, r.Node, string(data))
		return err
	})
}

// bounded returns a report whose errors are not longer than a report may be.
func bounded(r source.Report) source.Report {
	r.Errors = slices.Clone(r.Errors[:min(len(r.Errors), maxErrors)])
	for i, text := range r.Errors {
		if len(text) > maxError {
			r.Errors[i] = strings.ToValidUTF8(text[:maxError-3], "") + "..."
		}
	}
	return r
}

// Reports returns the last report of each node, sorted by name; see source.Store. Of very many it returns the newest
// 10,000, and at most 64 MiB.
func (s *Store) Reports(ctx context.Context) ([]source.Report, error) {
	const query = `select node, report from (
		select node, report::text, sum(octet_length(report::text)) over (order by at desc, node) as bytes
		from mtlsguard.node where fleet = $1 order by at desc, node limit 10000
	) newest where bytes <= 67108864 and octet_length(report) <= $2`
	var out []source.Report
	err := s.query(ctx, s.times.part, func(ctx context.Context) error {
		out = nil
		rows, err := s.pool.Query(ctx, query, mode, s.fleet, maxReport)
		if err != nil {
			return err
		}
		var node, report string
		_, err = pgx.ForEachRow(rows, []any{&node, &report}, func() error {
			var r source.Report
			if err := json.Unmarshal([]byte(report), &r); err != nil || r.Node != node {
				r = source.Report{Node: node, Errors: []string{errors.Join(errStored, err).Error()}}
			}
			out = append(out, bounded(r))
			return nil
		})
		return err
	})
	slices.SortFunc(out, func(a, b source.Report) int { return strings.Compare(a.Node, b.Node) })
	return out, err
}
