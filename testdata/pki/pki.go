// Package pki holds the test certificates and their keys.
//
// The keys are public: they are in the repository, so they protect nothing. No
// server that is not a test or an example may trust these authorities.
//
// pki.yaml says what each file is; the hostile ones are named for their fault.
// The certificates are valid from 2024 to 2124 unless their dates are the fault.
// A new entry in pki.yaml becomes files with
//
//	go generate ./testdata/pki
//
// which keeps the keys that are there, and then writes the same bytes again.
// Patterns like ./... pass over folders named testdata: the tests are run with
//
//	go test ./testdata/pki/...
package pki

import "embed"

//go:generate go run ./generate

// Files holds NAME.pem, NAME-key.pem and the revocation lists.
//
//go:embed *.pem *.crl *.der
var Files embed.FS
