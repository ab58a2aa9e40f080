// Package ocsp queries an OCSP responder for the revocation status of certificates (RFC 6960).
//
//	responder, err := ocsp.New(ocsp.Config{URL: "http://ocsp.example.org"})
//	…
//	verifier, err := trust.New(trust.Config{Anchors: anchors, Responder: responder})
//
// A Client is a trust.Responder. It queries the one configured URL. It ignores the responder's
// address in certificates: otherwise a client could choose where this process connects to.
//
// Prefer CRLs if the CA publishes them. A CRL covers all certificates in one file, needs no
// network for a look-up, and works while its issuer is down. Certificates that live for a day
// need neither. OCSP is for CAs whose CRLs are missing, too large or too old.
//
// # Requests
//
// A request is an unsigned POST for one certificate, with the names of RFC 5019 (SHA-1,
// because responders with prepared answers know no other; the hash identifies the issuer and
// protects nothing). With Config.Nonce, it holds a random nonce of 32 bytes (RFC 9654), and an
// answer without it is rejected: do not use it with responders of prepared answers. The Client
// follows no redirects, and uses no proxy unless the given http.Client has one.
//
// # Which answers are accepted
//
// An answer must have all of these properties. Any other answer means StatusUnknown and an
// error; the revocation mode of the Verifier then decides.
//
//   - HTTP 200, application/ocsp-response, at most 64 KiB, well-formed DER to the last byte, a
//     successful basic response of version 1;
//   - a signature with SHA-256 or better and RSA or ECDSA (the underlying library does not
//     support Ed25519 and RSA-PSS) by the certificate's issuer or its delegate, whose name or
//     key the responder ID has;
//   - a delegate is the first certificate in the response. The issuer's key issued it
//     directly; it is valid now, is not an authority, has an RSA key of 2048 to 8192 bits or
//     an ECDSA key of P-256 to P-521, the extended key usage OCSPSigning (anyExtendedKeyUsage
//     is not enough), digitalSignature if it has a key usage, no unknown critical extension,
//     and id-pkix-ocsp-nocheck: the Client does not check whether a delegate is revoked;
//   - it is for this certificate: issuer name hash, issuer key hash and serial number, with
//     the hash algorithm of the request. If it holds several statuses for the certificate, the
//     worst counts: revoked, then unknown, then good;
//   - producedAt is not in the future, and is within the validity of the signer's certificate;
//     thisUpdate is neither in the future nor after producedAt; nextUpdate has not passed, and
//     without a nextUpdate, thisUpdate is at most MaxAge ago. Clocks may differ by 5 minutes;
//   - no critical extension except the nonce, and no duplicate extension.
//
// As in a CRL, revoked counts after its nextUpdate too. A revoked certificate stays revoked
// for a week, whatever errors or older answers follow; only a newer good answer (the end of a
// hold) changes that.
//
// # Cache
//
// Good and revoked are cached until nextUpdate, at most for MaxAge, and errors for 30 seconds,
// all by certificate. After five failures of the responder in a row, the Client sends no
// requests for ten seconds; an unknown certificate is not a failure of the responder.
// Concurrent queries for one certificate share one request. All caches are bounded. A Client
// has no goroutine of its own, only one for each request under way, at most for Timeout. It
// needs no Close.
//
// # Caution
//
// Without Nonce, an attacker between the Client and the responder can replay an answer until
// its nextUpdate; with Nonce or https, the attacker can still block answers. Under
// trust.RevocationSoft, blocking is enough to use a revoked certificate: an unknown status is
// accepted, and queried again after 30 seconds. Use trust.RevocationHard.
package ocsp
