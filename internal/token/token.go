// Package token signs who the caller of a request is, for services that others could connect to:
// a JWT (RFC 7519) in the compact form of a JWS (RFC 7515) with Ed25519 (RFC 8037). It publishes its
// keys as a JWK Set (RFC 7517).
package token

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

const (
	// Lifetime is how long a token is valid.
	Lifetime = time.Minute
	// overlap is how long a replaced key stays in the set: a token that it has signed may be
	// verified until then.
	overlap = 2 * Lifetime
	// Path is where the keys are.
	Path = "/.well-known/jwks.json"
)

// Caller is who a token is about.
type Caller struct {
	User    string
	Groups  []string
	Mapping string // "" without one
}

// claims are the body of a token, in the order of RFC 7519 section 4.1.
type claims struct {
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Expires  int64    `json:"exp"`
	Issued   int64    `json:"iat"`
	ID       string   `json:"jti"`
	Groups   []string `json:"groups"`
	Mapping  string   `json:"mapping,omitempty"`
}

// key is a key with its public form.
type key struct {
	private ed25519.PrivateKey
	head    string // of a token, encoded
	public  jwk
	until   time.Time // when the key leaves the set; zero for the key that signs
}

// jwk is a public key (RFC 8037 section 2). The fields that the thumbprint covers come in the
// order of RFC 7638.
type jwk struct {
	Curve string `json:"crv"`
	Type  string `json:"kty"`
	X     string `json:"x"`
	ID    string `json:"kid,omitempty"`
	Use   string `json:"use,omitempty"`
	Alg   string `json:"alg,omitempty"`
}

var encoding = base64.RawURLEncoding

func newKey(private ed25519.PrivateKey) *key {
	k := &key{private: private, public: jwk{Curve: "Ed25519", Type: "OKP", X: encoding.EncodeToString(private.Public().(ed25519.PublicKey))}}
	thumbprint := sha256.Sum256(marshal(k.public)) // RFC 7638
	k.public.ID, k.public.Use, k.public.Alg = encoding.EncodeToString(thumbprint[:]), "sig", "EdDSA"
	k.head = encoding.EncodeToString(marshal(map[string]string{"alg": "EdDSA", "typ": "JWT", "kid": k.public.ID}))
	return k
}

// marshal encodes a value of this package, which JSON can always express.
func marshal(v any) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return out
}

// Signer signs with one key at a time. It is safe for concurrent use. The zero value has no key:
// call Use.
type Signer struct {
	mu   sync.Mutex
	keys []*key // the first one signs
	own  ed25519.PrivateKey
}

// Use signs with a key from now on; nil is a key that the Signer has made for itself. The former
// key stays in the set for two minutes.
func (s *Signer) Use(private ed25519.PrivateKey, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if private == nil {
		if s.own == nil {
			_, s.own, _ = ed25519.GenerateKey(nil) // cannot fail: crypto/rand ends the process instead
		}
		private = s.own
	}
	if len(s.keys) > 0 && s.keys[0].private.Equal(private) {
		return
	}
	next := []*key{newKey(private)}
	for i, k := range s.keys {
		if i == 0 {
			k = &key{k.private, k.head, k.public, now.Add(overlap)}
		}
		if k.until.After(now) && !k.private.Equal(private) {
			next = append(next, k)
		}
	}
	s.keys = next
}

// Sign returns a token about a caller for an audience.
func (s *Signer) Sign(c Caller, audience string, now time.Time) string {
	s.mu.Lock()
	k := s.keys[0]
	s.mu.Unlock()
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	body := marshal(claims{c.User, audience, now.Add(Lifetime).Unix(), now.Unix(), hex.EncodeToString(id[:]), c.Groups, c.Mapping})
	signed := k.head + "." + encoding.EncodeToString(body)
	return signed + "." + encoding.EncodeToString(ed25519.Sign(k.private, []byte(signed)))
}

// Handler answers with the keys that tokens may have been signed with.
func (s *Signer) Handler(now func() time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		set := struct {
			Keys []jwk `json:"keys"`
		}{[]jwk{}}
		s.mu.Lock()
		for _, k := range s.keys {
			if k.until.IsZero() || k.until.After(now()) {
				set.Keys = append(set.Keys, k.public)
			}
		}
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(append(marshal(set), '\n')) // the caller may be gone
	})
}
