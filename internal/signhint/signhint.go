// Package signhint explains the errors of private keys that are in a token.
package signhint

import (
	"fmt"
	"strings"
)

// pss is for RSA keys, and for no others: but the error does not name the kind of the key.
const pss = "the token does not know this kind of signature: TLS 1.3 needs RSA-PSS for an RSA key. Use an EC key, or MaxVersion TLS 1.2 and " +
	"SupportedSignatureAlgorithms of the tls.Certificate without RSA-PSS (PKCS1WithSHA256, PKCS1WithSHA384, PKCS1WithSHA512)"

// Explain adds a hint to the error of a handshake in which a PKCS#11 token could not sign
// (CKR_MECHANISM_INVALID, PKCS#11 section 5.1). It returns any other error as it is. crypto/tls keeps
// the text of a signer's error only.
func Explain(err error) error {
	if err == nil || !strings.Contains(err.Error(), "CKR_MECHANISM_INVALID") && !strings.Contains(err.Error(), "CKR_MECHANISM_PARAM_INVALID") {
		return err
	}
	return fmt.Errorf("%w (%s)", err, pss)
}
