package postgres_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/store/postgres"
)

// A node follows the fleet "orders". mtlsguard.yaml has a block source.
func Example() {
	ctx := context.Background()
	settings, err := postgres.ParseConfig("postgres://node@db.acme.example/fleet?sslmode=verify-full&sslrootcert=db-ca.pem")
	if err != nil {
		fmt.Println(err)
		return
	}
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	store := postgres.New(pool, "orders")
	defer store.Close()
	server, err := mtlsguard.Open("mtlsguard.yaml", mtlsguard.Options{Source: store})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(server.Serve(ctx, nil))
}

// The pool leads to PgBouncer in transaction mode, through which LISTEN does not work.
func ExampleWithListen() {
	pool, err := pgxpool.New(context.Background(), "postgres://node@pgbouncer.acme.example:6432/fleet")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	direct, err := pgx.ParseConfig("postgres://node@db.acme.example/fleet?sslmode=verify-full&sslrootcert=db-ca.pem")
	if err != nil {
		fmt.Println(err)
		return
	}
	store := postgres.New(pool, "orders", postgres.WithListen(direct)) // pool leads to PgBouncer
	defer store.Close()
	fmt.Println(store.Load(context.Background(), nil))
}

// A node needs two connections: one that listens, and one that reads.
func ExampleParseConfig() {
	settings, err := postgres.ParseConfig("postgres://node@db.acme.example/fleet?sslmode=require")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(settings.ConnConfig.Host, settings.ConnConfig.Database, settings.MaxConns)
	// Output: db.acme.example fleet 2
}
