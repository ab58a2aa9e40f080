// Package keystore keeps the credentials of package outbound: in memory, from files
// that may change while they are used, or from a folder in which each file is an
// alias.
//
//	keys, err := keystore.NewDirectory(keystore.DirectoryConfig{Path: "partners"})
//	go keys.Watch(ctx, 10*time.Second, func(err error) { slog.Warn("keystore", "error", err) })
//	transport, err := outbound.New(outbound.Config{Keystore: keys, Roots: roots})
//
// An alias may have several certificates at one time. Of those in force, the one
// that began last is presented: put next year's certificate beside this year's, and
// it takes over on its first day. Expiring tells which aliases run out.
//
// # Formats
//
// A file is told by its content, not by its name: PEM with a certificate, its
// intermediates and a key (or the key in a file of its own), PKCS#12 with one key,
// or a Java keystore (JKS). A file called .jks is often PKCS#12, and is read as that.
// Not read: encrypted PEM keys, PKCS#12 with several keys, JCEKS, BCFKS, and BER
// that is not DER. A set of files with one mistake is refused whole, with every
// mistake; the last good one stays in force.
package keystore
