// Package ocsp asks an OCSP responder whether a certificate is revoked (RFC 6960).
//
//	responder, err := ocsp.New(ocsp.Config{URL: "http://ocsp.example.org"})
//	…
//	status, until, err := responder.Status(ctx, leaf, issuer)
//
// A Client is a trust.Responder. It asks one configured URL and no other: the
// address that a certificate gives for its responder is never read, because whoever
// presents a certificate would then choose where this process connects to.
//
// Think twice before using it. A CRL is one file for all certificates, is looked up
// without the network and works while its issuer is down; a certificate that lives
// for a day needs neither. OCSP is for authorities that publish no CRL, or one too
// large or too old to be of use.
//
// # What is asked
//
// One certificate a request, by POST, not signed, with the names of RFC 5019
// (SHA-1, the only ones that a responder of prepared answers knows; they name the
// issuer and protect nothing). With Config.Nonce a random nonce of 32 bytes (RFC
// 9654) is sent, and an answer without it is not believed: leave that off for
// responders of prepared answers. Redirects are not followed; no proxy of the
// environment is used unless the given http.Client has one.
//
// # What is believed
//
// An answer counts only if all of this holds. Everything else is StatusUnknown and
// an error, which what a Verifier's revocation mode says then decides about.
//
//   - HTTP 200, application/ocsp-response, at most 64 KiB, well-formed DER to the
//     last byte, a successful basic response of version 1;
//   - the signature is SHA-256 or better with RSA or ECDSA (the library below knows
//     no Ed25519 and no RSA-PSS), by the issuer of the certificate or its delegate,
//     and the responder's ID names that signer;
//   - a delegate is the first certificate in the response, issued directly by the
//     issuer's key and name, now valid, no authority, with a key of 2048 to 8192 bits
//     RSA or P-256 to P-521, extended key usage OCSPSigning (anyExtendedKeyUsage is
//     not enough), digitalSignature if it has a key usage, no critical extension that
//     is not understood, and id-pkix-ocsp-nocheck: whether the delegate is itself
//     revoked is not looked up, so one without nocheck is not believed;
//   - it speaks of this certificate: issuer name hash, issuer key hash and serial,
//     with the hash algorithm that was asked with. Should it do so more than once, the
//     worst counts: revoked, then unknown, then good;
//   - producedAt is not in the future and within the validity of the signer's
//     certificate; thisUpdate is neither in the future nor after producedAt;
//     nextUpdate has not passed, and without one thisUpdate is at most MaxAge ago.
//     Clocks may differ by five minutes;
//   - no critical extension anywhere (but the nonce's), no extension twice.
//
// Revoked is believed past its nextUpdate too, as it is from a CRL. And revoked stays:
// once a certificate was, neither a failure nor an answer older than the one that said
// so changes that for a week, only a newer Good (the end of a hold) does.
//
// # What is kept
//
// Good and revoked until nextUpdate, at most for MaxAge. Failures for 30 seconds, by
// certificate. After five failures of the responder in a row nobody asks it for ten
// seconds; that it does not know a certificate is no failure of it. Concurrent
// questions about one certificate are one. All of this is bounded. A Client has no
// goroutine of its own, and one for each question while it is under way, at most for
// Timeout. It needs no Close.
//
// # Caution
//
// Without Nonce, whoever stands between here and the responder can play back an
// answer until its nextUpdate; with Nonce or https it can still keep answers away.
// Under trust.RevocationSoft that is enough to be let in with a revoked certificate: what is not
// known is accepted, and asked about again after 30 seconds. Use trust.RevocationHard.
package ocsp
