// Package certmap says which user a verified certificate is: exactly one, or
// nobody, or more than one, which is refused too.
//
// It begins where package trust ends. A trust.Verified is a leaf that was believed;
// a Table of mappings turns it into a named user. No HTTP is known here, and no
// policy: what the user may do is decided elsewhere.
//
// # Kinds
//
// A mapping looks at one thing. In this order:
//
//	kind         what it names                                    issuer    survives
//	fingerprint  SHA-256 of the leaf's DER                        –         nothing
//	spki         SHA-256 of the leaf's public key                 –         a renewal with the same key
//	serial       serial number, hex as openssl prints it          direct    nothing
//	uri          the one URI, byte for byte                       any CA    every renewal
//	dns          one DNS name; ASCII case does not count          any CA    every renewal
//	email        one address; case of the domain does not count   any CA    every renewal
//	subject      the whole name, RFC 4514                         any CA    every renewal
//	pattern      subject or uri with {user} in place of exactly   any CA    every renewal
//	             one attribute value or path segment
//
// The issuer is the SHA-256 of a CA's public key, which must stand in the verified
// chain; for a serial number it must be the direct issuer. Without it, any CA that
// is trusted for anything could make any user, so all but the two pins need it; a
// pin that has one matches under that CA only.
//
// # Deciding
//
// The first kind at which any mapping matches decides. Among its mappings that are
// in force, one user is the answer and two are Ambiguous. One that is disabled, or
// out of its time, is not in force, but it matches: if no other of its kind is in
// force, the certificate is nobody's, whatever a later kind says. A mapping for
// other ports, or under another issuer, is not there at all. Order in the file never
// decides, except which of several mappings for one user is named in the log.
//
// Two mappings that must contradict each other do not load: New refuses the same
// key under the same issuer for two users, on a common port at a common time. What
// cannot be seen before a certificate comes, such as two users by two DNS names of
// one certificate, is refused then.
//
// # Names
//
// A subject is compared as the certificate holds it, as sets of attributes in their
// order, each value exactly: never as printed text, never with case folded. The
// string types PrintableString, UTF8String and IA5String are one. A name is
// nobody's if it is empty, has a value in another string type, not in UTF-8, empty,
// longer than 256 bytes, with blanks at its ends or two in a row, or with controls,
// bidi, zero-width, private or unassigned characters, combining accents (write
// names in Unicode's normal form C), or more than 64 attributes.
//
// A pattern captures a whole value. What is captured must be a user name, whether
// the mapping uses it or names a fixed user; the captured attribute type must occur
// once in the certificate. A URI is compared with the bytes of the certificate; one
// that could be read in two ways cannot be mapped.
//
// User names match [A-Za-z0-9][A-Za-z0-9._@-]{0,127}. Default, Everybody,
// Authenticated and Anonymous, in any case, are the guard's own.
//
// # Changing
//
// A Table never changes. Live holds the one in force, and replaces it, or single
// mappings in it, while readers go on without a lock. A change with a mistake
// changes nothing.
//
// Explain shows what became of each mapping, near misses included; Lint finds what
// works and is probably not meant. Read and ReadTable read users.yaml, or the same
// as JSON lines, which is faster for large tables:
//
//	mappings:
//	  - {id: alice-2026, user: alice, fingerprint: "sha256:9f86…"}
//	  - {id: orders, user: orders-api, uri: "spiffe://acme/ns/prod/sa/orders", issuer: pki/client-ca.pem}
//	  - {id: staff, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: pki/client-ca.pem, ports: [internal]}
package certmap
