package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mtlsguard/mtlsguard/source"
)

// limits bound how long a lost or slow editor stops others: the %d are the milliseconds that the database waits for
// the editor's next statement. The database enforces them.
const limits = `set local lock_timeout = '10s'; set local statement_timeout = '30s'; set local idle_in_transaction_session_timeout = %d`

// missingBlob is the SQLSTATE of check_generation for a file that is not there.
const missingBlob = "MG001"

// Commit adds a generation, with its files, in one transaction; see source.Store. The database makes it visible
// as a whole, or not at all.
func (s *Store) Commit(ctx context.Context, g *source.Generation) error {
	if g.Manifest.Fleet != s.fleet {
		return fmt.Errorf("postgres: the store is of fleet %q, and the generation of fleet %q", s.fleet, g.Manifest.Fleet)
	}
	err := s.commit(ctx, g)
	if code(err) == missingBlob { // it was pruned after it was seen
		err = s.commit(ctx, g)
	}
	if code(err) == "23505" {
		return source.ErrConflict
	}
	return err
}

// commit is one attempt of Commit.
func (s *Store) commit(ctx context.Context, g *source.Generation) error {
	var tx pgx.Tx
	err := s.query(ctx, s.times.connect, func(ctx context.Context) (err error) {
		if tx, err = s.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite}); err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, fmt.Sprintf(limits, s.times.editor.Milliseconds()), pgx.QueryExecModeSimpleProtocol); err != nil {
			s.rollback(tx)
		}
		return err
	})
	if err != nil {
		return err
	}
	defer s.rollback(tx) // after a commit it does nothing

	newest, err := s.generation(ctx, tx, nil, "order by number desc limit 1")
	if err != nil && !errors.Is(err, source.ErrNone) {
		return err
	}
	if !g.Follows(newest) {
		return source.ErrConflict
	}
	if err := s.addBlobs(ctx, tx, g, newest); err != nil {
		return err
	}
	parent := []byte{}
	if newest != nil {
		digest := newest.Digest()
		parent = digest[:]
	}
	if err := s.exec(ctx, tx, `insert into mtlsguard.generation (fleet, number, parent, manifest, signatures) values ($1, $2, $3, $4, $5)`,
		mode, s.fleet, int64(g.Manifest.Number), parent, g.Raw, encodeSignatures(g.Signatures)); err != nil {
		return err
	}
	one, cancel := context.WithTimeout(ctx, s.times.part)
	defer cancel()
	return s.explain(tx.Commit(one))
}

// rollback ends a transaction, also after ctx has ended.
func (s *Store) rollback(tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = tx.Rollback(ctx) // a connection that fails is closed, which rolls back
}

// exec runs one statement of a transaction.
func (s *Store) exec(ctx context.Context, tx pgx.Tx, sql string, arguments ...any) error {
	ctx, cancel := context.WithTimeout(ctx, s.times.part)
	defer cancel()
	_, err := tx.Exec(ctx, sql, arguments...)
	return s.explain(err)
}

// addBlobs adds the files of g that are not there, in the order of their digests: two editors that add the same ones
// cannot wait for each other. The ones that are there and that the newest generation does not have are checked: an
// editor could have left other content.
func (s *Store) addBlobs(ctx context.Context, tx pgx.Tx, g, newest *source.Generation) error {
	blobs := slices.SortedFunc(slices.Values(g.Blobs()), func(a, b source.File) int { return bytes.Compare(a.SHA256[:], b.SHA256[:]) })
	there, err := s.present(ctx, tx, blobs)
	if err != nil {
		return err
	}
	inNewest := map[source.Digest]bool{}
	if newest != nil {
		for _, f := range newest.Manifest.Files {
			inNewest[f.SHA256] = true
		}
	}
	for _, f := range blobs {
		switch {
		case !there[f.SHA256]:
			err = s.addBlob(ctx, tx, g, f)
		case !inNewest[f.SHA256]:
			err = s.checkBlob(ctx, tx, g, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// present returns which blobs have parts in the database.
func (s *Store) present(ctx context.Context, tx pgx.Tx, blobs []source.File) (map[source.Digest]bool, error) {
	var digests [][]byte
	for _, f := range blobs {
		digests = append(digests, f.SHA256[:])
	}
	ctx, cancel := context.WithTimeout(ctx, s.times.part)
	defer cancel()
	there := map[source.Digest]bool{}
	rows, err := tx.Query(ctx, `select digest from mtlsguard.blob where fleet = $1 and digest = any($2) and part = 0`, mode, s.fleet, digests)
	if err != nil {
		return nil, s.explain(err)
	}
	var digest []byte
	_, err = pgx.ForEachRow(rows, []any{&digest}, func() error {
		if len(digest) == len(source.Digest{}) {
			there[source.Digest(digest)] = true
		}
		return nil
	})
	return there, s.explain(err)
}

// addBlob adds the parts of a file. Other editors may be adding the same ones: then it waits for them.
func (s *Store) addBlob(ctx context.Context, tx pgx.Tx, g *source.Generation, f source.File) error {
	r, err := g.Open(ctx, f)
	if err != nil {
		return err
	}
	defer r.Close()
	part := make([]byte, min(partSize, f.Size+1))
	for i := int32(0); ; i++ {
		n, err := fill(r, part)
		if err != nil && err != io.EOF {
			return err
		}
		if n > 0 {
			if err := s.exec(ctx, tx, `insert into mtlsguard.blob (fleet, digest, part, data) values ($1, $2, $3, $4) on conflict do nothing`,
				mode, s.fleet, f.SHA256[:], i, part[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// fill reads until p is full. The error is io.EOF only at the end of r: io.ReadFull would hide an unexpected one.
func fill(r io.Reader, p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m, err := r.Read(p[n:])
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

// checkBlob reads a file that is there already.
func (s *Store) checkBlob(ctx context.Context, tx pgx.Tx, g *source.Generation, f source.File) error {
	stored, err := source.New(g.Raw, nil, func(ctx context.Context, f source.File) (io.ReadCloser, error) { return s.openIn(ctx, tx, f) })
	if err != nil {
		return err
	}
	r, err := stored.Open(ctx, f)
	if err == nil {
		defer r.Close()
		_, err = io.Copy(io.Discard, r)
	}
	if err != nil {
		return fmt.Errorf("the content that the store has for %s is wrong; the owner of the database removes it with mtlsguard.prune if no generation has it: %w", f.Name, err)
	}
	return nil
}
