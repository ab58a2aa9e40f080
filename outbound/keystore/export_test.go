package keystore

// Parse reads a file's content as it would be read from disk.
func Parse(data, key []byte, entry, password string) bool {
	s := source{name: "file", keyName: "key", data: data, keyData: key, inside: entry, password: func() (string, error) { return password, nil }}
	_, err := s.parse()
	return err == nil
}

// AliasOf is the alias in a file's name.
var AliasOf = aliasOf

// Iterations is what a file makes its password cost.
func Iterations(der []byte) int { return iterations(der, 0) }
