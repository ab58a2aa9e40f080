// Package acme tests ports whose certificate comes from certmagic, against an ACME server: pebble.
package acme
