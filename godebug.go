package mtlsguard

import (
	"fmt"
	"strings"
)

// weakening are the settings of GODEBUG that make TLS or certificates weaker than
// this package promises, with the values that do. The protocol version is not among
// what they can change: ports say theirs themselves.
var weakening = map[string]string{
	"tls3des": "1", "tlsrsakex": "1", "tlssha1": "1", "x509sha1": "1", "x509negativeserial": "1", "rsa1024min": "0",
}

// weakened tells of settings in an environment's GODEBUG that somebody should know
// about.
func weakened(godebug string) []string {
	var out []string
	for setting := range strings.SplitSeq(godebug, ",") {
		name, value, _ := strings.Cut(setting, "=")
		if bad, ok := weakening[name]; ok && value == bad {
			out = append(out, fmt.Sprintf("GODEBUG has %s: certificates and ciphers are accepted that should not be", setting))
		}
	}
	return out
}
