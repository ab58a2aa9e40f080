package outbound

// Keystore returns credentials by their aliases. A Transport calls it once for every call,
// so it must not block, and it must be safe for concurrent use. For an alias that it does
// not know it returns ErrUnknownAlias; any error is the error of the call. Package keystore
// has keystores in memory, from files, and from a folder.
type Keystore interface {
	Credential(alias string) (*Credential, error)
}
