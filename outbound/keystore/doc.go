// Package keystore holds the credentials of package outbound: in memory, from files that
// may change while they are in use, or from a folder in which each file is an alias.
//
//	keys, err := keystore.NewDirectory(keystore.DirectoryConfig{Path: "partners"})
//	go keys.Watch(ctx, 10*time.Second, func(err error) { slog.Warn("keystore", "error", err) })
//	transport, err := outbound.New(outbound.Config{Keystore: keys, Roots: roots})
//
// An alias may have several certificates at one time. The valid one with the latest
// NotBefore is presented: put next year's certificate beside this year's, and it takes over
// on its first day. Expiring returns the aliases whose certificates will all have expired.
//
// # Formats
//
// The content of a file shows its format, not its name: PEM with a certificate, its
// intermediates and a key (or the key in a file of its own), PKCS#12 with one key, or a
// Java keystore (JKS). A file named .jks is often PKCS#12, and is read as that. Encrypted
// PEM keys, PKCS#12 with several keys, JCEKS, BCFKS, and BER that is not DER are not read.
// If one file of a set has an error, the whole set is rejected with all its errors, and
// the last good set remains in use.
package keystore
