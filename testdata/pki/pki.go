// Package pki holds the test certificates and their keys.
//
// The keys are in the repository, so they are public and protect nothing. Only tests and
// examples may trust these authorities.
//
// pki.yaml describes each file; a hostile certificate is named for its fault. Certificates are
// valid from 2024 to 2124 unless their dates are the fault. To make the files of a new entry
// in pki.yaml, run
//
//	go generate ./testdata/pki
//
// It keeps existing keys and writes the same bytes again. Patterns like ./... skip folders
// named testdata, so run the tests with
//
//	go test ./testdata/pki/...
package pki

import "embed"

//go:generate go run ./generate

// Files holds NAME.pem, NAME-key.pem and the revocation lists.
//
//go:embed *.pem *.crl *.der
var Files embed.FS
