package postgres_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/store/postgres"
)

// A node follows the fleet "orders". mtlsguard.yaml has a block source.
func Example() {
	ctx := context.Background()
	config, err := postgres.ParseConfig("postgres://node_1@db.acme.example/fleet")
	if err != nil {
		fmt.Println(err)
		return
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
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
