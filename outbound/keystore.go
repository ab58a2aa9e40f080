package outbound

// Keystore knows credentials by alias. It is asked once for every call, so it must
// not block, and it must be safe for concurrent use. An alias that it does not know
// is ErrUnknownAlias; its error is the error of the call. Package keystore has
// ready ones: in memory, from files, and from a folder.
type Keystore interface {
	Credential(alias string) (*Credential, error)
}
