// Package certmap maps a verified client certificate to exactly one named user, or refuses
// it as unmapped or ambiguous.
//
//	table, err := certmap.New(certmap.Mapping{ID: "orders", User: "orders-api", URI: "spiffe://acme/ns/prod/sa/orders", Issuer: ca})
//	match, err := table.Map(ctx, verified, "internal") // match.User is orders-api
//
// Package trust verifies the certificate first: only it can make a trust.Verified. Package
// policy then decides which requests the user may make.
//
// # Kinds
//
// A mapping compares one property of the certificate. In order of precedence:
//
//	kind         value                                            issuer    survives
//	fingerprint  SHA-256 of the leaf's DER                        –         nothing
//	spki         SHA-256 of the leaf's public key                 –         a renewal with the same key
//	serial       serial number, hex as openssl prints it          direct    nothing
//	uri          the only URI, byte for byte                      any CA    every renewal
//	dns          one DNS name; ASCII case is ignored              any CA    every renewal
//	email        one address; case of the domain is ignored       any CA    every renewal
//	subject      the whole name, RFC 4514                         any CA    every renewal
//	pattern      subject or uri with {user} in place of exactly   any CA    every renewal
//	             one attribute value or path segment
//
// The issuer is the SHA-256 of a CA's public key. That CA must be in the verified chain; for
// a serial number it must be the direct issuer. Without an issuer, every trusted CA could
// make every user. So all kinds need one except fingerprint and spki; if these have one, they
// match under that CA only. trust.TrustDomainIssuer stands for all authorities of a SPIFFE trust
// domain; in a file it is spiffe:// and the domain.
//
// # Deciding
//
// The first kind at which any mapping matches decides. If its valid mappings give one user,
// that is the answer; two users are Ambiguous. A mapping that is disabled or outside its
// dates is not valid, but it matches: if its kind has no valid mapping, the certificate is
// refused, whatever mappings of a later kind exist. A mapping for other ports or under
// another issuer is ignored. The order in the file never decides the user; it decides only
// which of several mappings for one user the log names.
//
// New rejects mappings that contradict each other: the same key under the same issuer for
// two users, on a common port at a common time. A contradiction that only a certificate
// shows, such as two users by two of its DNS names, is refused when that certificate comes.
//
// # Names
//
// A subject is compared as sets of attributes in the order of the certificate. Each value is
// compared exactly, never as printed text and never without regard to case. The string types
// PrintableString, UTF8String and IA5String are equal. A certificate has no name to map by if
// its subject is empty or has more than 64 attributes, or if a value is of another string
// type, not UTF-8, empty, longer than 256 bytes, or has blanks at its ends or two in a row,
// controls, bidi, zero-width, private or unassigned characters, or combining accents (write
// names in Unicode's normal form C).
//
// A pattern captures a whole value. The captured text must be a user name, even if the
// mapping names a fixed user, and the captured attribute type must occur once in the
// certificate. A URI is compared with the bytes of the certificate; a URI that could be read
// in two ways cannot be mapped.
//
// User names match [A-Za-z0-9][A-Za-z0-9._@-]{0,127}. Default, Everybody, Authenticated and
// Anonymous, in any case, are reserved.
//
// # Changing
//
// A Table never changes. Live holds the one that is in effect, and replaces it, or single
// mappings in it, while readers continue without a lock. A change with an error changes
// nothing.
//
// Explain returns the result of each mapping, near misses included; Lint finds mappings that
// are valid and probably not intended. Load reads users.yaml, or the same as JSON lines:
//
//	mappings:
//	  - {id: alice-2026, user: alice, fingerprint: "sha256:9f86…"}
//	  - {id: orders, user: orders-api, uri: "spiffe://acme/ns/prod/sa/orders", issuer: pki/client-ca.pem}
//	  - {id: staff, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: pki/client-ca.pem, ports: [internal]}
package certmap
