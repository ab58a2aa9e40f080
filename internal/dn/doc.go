// Package dn reads and compares distinguished names. Two comparisons serve two purposes:
//
// Name compares exactly, for mapping a certificate to a user. A difference in case or
// white space is another name, and a name that two programs could read differently is
// rejected. A looser comparison would let one authority's name stand for another user.
//
// Equal and Canonical compare as RFC 5280 section 7.1 does, for finding the authority
// that a CRL or a certificate names. They never decide by themselves: a signature does.
package dn
