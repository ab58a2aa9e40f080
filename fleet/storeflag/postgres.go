package storeflag

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/store/postgres"
)

func init() { Openers["postgres"], Openers["postgresql"] = openPostgres, openPostgres }

// postgresStore is a store in PostgreSQL that the command can prune.
type postgresStore struct {
	*postgres.Store
	pool  *pgxpool.Pool
	fleet string
}

// openPostgres opens a store in PostgreSQL. Parts that the URL leaves out come from PGPASSWORD, PGPASSFILE
// and the other variables of libpq.
func openPostgres(ctx context.Context, f *Flags, fleet string) (source.Store, func(), error) {
	if f.StoreCacert != "" || f.StoreCert != "" || f.StoreKey != "" || f.StoreCreds != "" {
		return nil, nil, console.UsageError("--store-cacert, --store-cert, --store-key and --store-creds are not for PostgreSQL", "write sslmode=verify-full, sslrootcert, sslcert and sslkey into the URL")
	}
	config, err := postgres.ParseConfig(f.Store)
	if err != nil { // pgx leaves the password out
		return nil, nil, console.UsageError("--store: "+err.Error(), "postgres://USER@HOST/DATABASE?sslmode=verify-full&sslrootcert=FILE")
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	s := postgresStore{postgres.New(pool, fleet, postgres.WithLog(slog.New(slog.DiscardHandler))), pool, fleet}
	return s, func() { s.Close(); pool.Close() }, nil
}

// Prune removes old generations. Only the owner of the schema may.
func (s postgresStore) Prune(ctx context.Context, keep int, younger time.Duration) (n int, err error) {
	err = s.pool.QueryRow(ctx, "select generations from mtlsguard.prune($1, $2, make_interval(secs => $3))", s.fleet, keep, younger.Seconds()).Scan(&n)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if denied, ok := errors.AsType[*pgconn.PgError](err); ok && denied.Code == "42501" { // insufficient_privilege
		return 0, console.UsageError("the store: "+err.Error(), "only the owner of the schema mtlsguard may prune: name that role in --store, or in MTLSGUARD_STORE")
	}
	return n, err
}
