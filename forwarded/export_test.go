package forwarded

import "crypto/x509"

// ParseHeaders parses the headers of a topology as Verify does.
func ParseHeaders(t Topology, cert, chain string) ([]*x509.Certificate, error) {
	return t.parse(cert, chain)
}

// Unescape decodes percent-encoding.
func Unescape(text string) (string, error) { return unescape(text) }

// ReadFlatPEM reads PEM in one line.
func ReadFlatPEM(text string) ([][]byte, error) { return readFlatPEM(text) }

// Formats returns the format names of ParseTopology.
func Formats() []string {
	var out []string
	for _, f := range formats {
		out = append(out, f.name)
	}
	return out
}

// Cached returns the number of certificates in the cache.
func (r *Receiver) Cached() int { return r.cache.entries.Len() }

// IsDNS, IsHeaderValue and IsURI check the names and values of a configuration.
var (
	IsDNS         = isDNS
	IsHeaderValue = isHeaderValue
	IsURI         = isURI
)
