package dn

import (
	"crypto/x509/pkix"
	"fmt"
)

// MaxPrinted is how many attributes of a name Print prints.
const MaxPrinted = 64

// Print returns a name of crypto/x509 as its String does. Of a name with more than 64
// attributes it returns only how many there are: the time of String grows with the square of
// their number, and a stranger chooses the names in a certificate.
func Print(n *pkix.Name) string {
	if count := len(n.Names); count > MaxPrinted {
		return fmt.Sprintf("a name of %d attributes", count)
	}
	return n.String()
}
