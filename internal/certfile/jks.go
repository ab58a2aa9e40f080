package certfile

import (
	"errors"
	"fmt"

	"github.com/mtlsguard/mtlsguard/internal/javaks"
)

// readJKS reads every entry of a Java keystore, in the order of their aliases.
func readJKS(name string, data []byte, p Passwords) ([]Entry, error) {
	keyPassword := p.Store
	if p.Key != "" {
		keyPassword = p.Key
	}
	entries, err := javaks.ReadJKS(data, p.Store, keyPassword)
	switch {
	case errors.Is(err, javaks.ErrPassword):
		return nil, passwordError(name)
	case err != nil:
		return nil, fileError(name, err.Error(), "copy the file again")
	case len(entries) == 0:
		return nil, fileError(name, "the Java keystore has no entry", "name a keystore with certificates")
	}
	var out []Entry
	for _, e := range entries {
		if e.Err != nil {
			return nil, fileError(name, fmt.Sprintf("entry %q: %s", e.Alias, e.Err), "export the entry again from its source")
		}
		entry := Entry{Alias: e.Alias, Chain: e.Chain, Key: e.Key}
		entry.choose()
		if e.KeyErr != nil {
			entry.Locked = fmt.Errorf("entry %q: %w", e.Alias, e.KeyErr)
		}
		out = append(out, entry)
	}
	return out, nil
}
