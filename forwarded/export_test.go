package forwarded

import "crypto/x509"

// Read is what Verify reads certificates with.
func Read(t Topology, cert, chain string) ([]*x509.Certificate, error) { return t.read(cert, chain) }

// Unescape undoes percent-encoding.
func Unescape(text string) (string, error) { return unescape(text) }

// FlatPEM reads PEM in one line.
func FlatPEM(text string) ([][]byte, error) { return readFlatPEM(text) }

// Formats are the names that Named takes.
func Formats() []string {
	var out []string
	for _, f := range formats {
		out = append(out, f.name)
	}
	return out
}

// Kept is how many statements are kept.
func (r *Receiver) Kept() int { return r.believed.Len() }
