package keystore

import "time"

// Parse reports whether the content of a file is a credential.
func Parse(data, key []byte, entry, password string) bool {
	s := source{name: "file", keyName: "key", data: data, keyData: key, entry: entry, password: func() (string, error) { return password, nil }}
	_, err := s.parse(time.Now())
	return err == nil
}

// AliasOf returns the alias in a file's name.
var AliasOf = aliasOf
