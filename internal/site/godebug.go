package site

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
)

// weakening are the settings of GODEBUG that make TLS or certificates weaker than
// this package promises, with the values that do. The protocol version is not among
// what they can change: ports set theirs themselves.
var weakening = map[string]string{
	"tls3des": "1", "tlsrsakex": "1", "tlssha1": "1", "x509sha1": "1", "x509negativeserial": "1", "rsa1024min": "0",
}

// GODEBUG returns the settings that the program was built with, and then those of its
// environment.
func GODEBUG() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "DefaultGODEBUG" {
				return s.Value + "," + os.Getenv("GODEBUG")
			}
		}
	}
	return os.Getenv("GODEBUG")
}

// Weakened returns a warning for each setting in effect that weakens TLS or certificates.
// The last setting of a name counts.
func Weakened(godebug string) []string {
	settings := strings.Split(godebug, ",")
	var out []string
	for seen := map[string]bool{}; len(settings) > 0; settings = settings[:len(settings)-1] {
		setting := settings[len(settings)-1]
		name, value, _ := strings.Cut(setting, "=")
		if bad, ok := weakening[name]; ok && value == bad && !seen[name] {
			out = append(out, fmt.Sprintf("GODEBUG has %s: certificates and ciphers are accepted that should not be", setting))
		}
		seen[name] = true
	}
	return out
}
