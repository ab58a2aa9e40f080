// Package postgres keeps the generations of a fleet in PostgreSQL 14 or newer: nodes follow it, and a commit is in
// effect on all of them within a second. See docs/fleet.md.
//
//	config, err := postgres.ParseConfig("postgres://node_1@db.acme.example/fleet")
//	pool, err := pgxpool.NewWithConfig(ctx, config)
//	store := postgres.New(pool, "orders")
//	defer store.Close()
//
// An administrator runs schema.sql, and roles.sql for the roles of nodes and editors; Schema and Roles are
// these files. The database refuses to change or delete generations, and accepts a generation only after
// its parent and with all its files, whatever an editor's program does.
//
// Nodes listen with a connection of their own, next to the pool. It is checked every 10 seconds, and
// replaced when it is lost; the newest generation is read after each connect, because a notification
// without a listener is lost. Behind PgBouncer in transaction mode, and on a standby, LISTEN does not
// work: the store logs this once, and polls every second. See WithListen.
package postgres
