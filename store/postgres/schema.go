package postgres

import _ "embed" // for the files of SQL

// Schema is schema.sql: the tables, triggers and functions in the schema mtlsguard. It is run by the owner of the
// database, as in pool.Exec(ctx, postgres.Schema), and changes nothing when it is run again.
//
//go:embed schema.sql
var Schema string

// Roles is roles.sql: the roles mtlsguard_reader for nodes and mtlsguard_editor for editors. It is run
// after Schema by a role that may create roles.
//
//go:embed roles.sql
var Roles string
