//go:build unix

package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// usersName is the value of users in the configuration: a file or a folder.
func (l *live) usersName() string {
	if l.o.segment > 0 {
		return "users"
	}
	return "users.jsonl"
}

// changedUsers is the file of users that change changes.
func (l *live) changedUsers() string {
	if l.o.segment > 0 {
		return filepath.Join("users", "000000.jsonl")
	}
	return "users.jsonl"
}

// writeUsers writes the mappings to one file, or to the files of a folder.
func (l *live) writeUsers(text string) error {
	path := filepath.Join(l.dir, l.usersName())
	if l.o.segment == 0 {
		return os.WriteFile(path, []byte(text), 0o600)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	lines := slices.Collect(strings.Lines(text))
	n := 0
	for part := range slices.Chunk(lines, l.o.segment) {
		if err := os.WriteFile(filepath.Join(path, fmt.Sprintf("%06d.jsonl", n)), []byte(strings.Join(part, "")), 0o600); err != nil {
			return err
		}
		n++
	}
	return nil
}

// change changes one line of a file, as an operator does: by a new file that is renamed over
// the old one.
func (l *live) change(name string) error {
	l.changes++
	path := filepath.Join(l.dir, name)
	var data []byte
	var err error
	switch name {
	case "ca.crl":
		data = []byte(l.crl())
	case "policy.csv":
		if data, err = os.ReadFile(path); err != nil {
			return err
		}
		data = fmt.Appendf(data, "p, user:change%d, internal, GET, /change, allow\n", l.changes)
	default:
		if data, err = os.ReadFile(path); err != nil {
			return err
		}
		data = fmt.Appendf(data, `{"id":"change%[1]d","user":"change%[1]d","fingerprint":"%064[1]x"}`+"\n", l.changes)
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// crl returns the next CRL.
func (l *live) crl() string {
	serials := make([]*big.Int, l.o.revoked)
	for i := range serials {
		serials[i] = new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 100), big.NewInt(int64(i)*7919))
	}
	list := l.ca.CRL(l.changes+1, serials, func(c *x509.RevocationList) { c.ThisUpdate = time.Now() })
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list.Raw}))
}
