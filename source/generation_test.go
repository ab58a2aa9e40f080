package source_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/source"
)

// next returns a generation after parent, not signed.
func next(tb testing.TB, parent *source.Generation, pairs ...string) *source.Generation {
	tb.Helper()
	files := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		files[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	g, err := source.Next(parent, source.Manifest{Fleet: "orders", Author: "anna"}, files)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

func signer(tb testing.TB) (source.Signers, ed25519.PrivateKey) {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return source.Signers{public}, private
}

// The files of a generation are a file system.
func TestGenerationIsAFileSystem(t *testing.T) {
	t.Parallel()
	g := next(t, nil, "users.yaml", "users", "crls/a.crl", "a", "crls/b.crl", "b", "crls/old/c.crl", "")
	if err := fstest.TestFS(g.FS(), "users.yaml", "crls/a.crl", "crls/b.crl", "crls/old/c.crl"); err != nil {
		t.Error(err)
	}
}

// A reader gets the bytes that the manifest describes, or an error, whatever the store returns.
func TestFilesOfAHostileStore(t *testing.T) {
	t.Parallel()
	g := next(t, nil, "users.yaml", "abcdef")
	key := "x\n-----BEGIN PRIVATE KEY-----\n"
	withKey := strings.Replace(string(g.Raw), source.DigestOf([]byte("abcdef")).String(), source.DigestOf([]byte(key)).String(), 1)
	withKey = strings.Replace(withKey, `"size": 6`, `"size": 30`, 1)
	for _, x := range []struct{ name, raw, content, want string }{
		{"the right content", string(g.Raw), "abcdef", ""},
		{"a flipped byte", string(g.Raw), "abcdeF", "other content"},
		{"too short", string(g.Raw), "abcde", "has 5 bytes, and 6 in the manifest"},
		{"too long", string(g.Raw), "abcdefg", "more than the 6 bytes"},
		{"nothing", string(g.Raw), "", "has 0 bytes"},
		{"a private key", withKey, key, "private key"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			for reader, wrap := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "with its end": iotest.DataErrReader} {
				bad, err := source.New([]byte(x.raw), nil, func(context.Context, source.File) (io.ReadCloser, error) {
					return io.NopCloser(wrap(strings.NewReader(x.content))), nil
				})
				if err != nil {
					t.Fatal(err)
				}
				data, err := fs.ReadFile(bad.FS(), "users.yaml")
				if x.want == "" && (err != nil || string(data) != x.content) || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
					t.Errorf("%s: %q, %v, want %q", reader, data, err, x.want)
				}
				if _, err := bad.Fetch(t.Context()); (err == nil) != (x.want == "") {
					t.Errorf("%s: fetch: %v", reader, err)
				}
			}
		})
	}
}

// An endless blob is not read to its end.
func TestEndlessFileIsNotRead(t *testing.T) {
	t.Parallel()
	g := next(t, nil, "users.yaml", "abcdef")
	read := 0
	endless, err := source.New(g.Raw, nil, func(context.Context, source.File) (io.ReadCloser, error) {
		return io.NopCloser(readerFunc(func(p []byte) (int, error) { read += len(p); return len(p), nil })), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := endless.Fetch(t.Context()); err == nil || read > 7 {
		t.Errorf("%v after %d bytes", err, read)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestNextFollowsItsParent(t *testing.T) {
	t.Parallel()
	first := next(t, nil, "a", "1", ".git/config", "hidden", "b/.hidden", "hidden")
	if len(first.Manifest.Files) != 1 {
		t.Errorf("files: %v", first.Manifest.Files)
	}
	second := next(t, first, "a", "2")
	other := next(t, next(t, nil, "a", "other"), "a", "2")
	if !first.Follows(nil) || !second.Follows(first) || second.Follows(nil) || first.Follows(first) || other.Follows(first) {
		t.Error("parents are mixed up")
	}
	if _, err := source.Next(first, source.Manifest{Fleet: "payments", Author: "anna"}, second.FS()); err == nil {
		t.Error("a generation has another fleet than its parent")
	}
}

func TestGenerationNeedsATrustedSignature(t *testing.T) {
	t.Parallel()
	trusted, key := signer(t)
	others, otherKey := signer(t)
	g := next(t, nil, "a", "1")
	sign := func(g *source.Generation, key ed25519.PrivateKey) *source.Generation {
		t.Helper()
		signed, err := g.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	good := sign(g, key)
	flipped := sign(g, key)
	flipped.Signatures[0].Value[0] ^= 1
	bare := ed25519.Sign(key, g.Raw) // without the prefix
	other := next(t, nil, "a", "2")
	moved, err := source.New(other.Raw, good.Signatures, nil)
	if err != nil {
		t.Fatal(err)
	}
	bad, err := source.New(g.Raw, []source.Signature{{Key: good.Signatures[0].Key, Value: bare}, {}, {Value: []byte("short")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		g       *source.Generation
		signers source.Signers
		want    bool
	}{
		"by the signer":              {sign(g, key), trusted, true},
		"by two":                     {sign(sign(g, otherKey), key), trusted, true},
		"of several signers":         {sign(g, key), append(others, trusted...), true},
		"by another":                 {sign(g, otherKey), trusted, false},
		"without a signature":        {g, trusted, false},
		"without signers":            {sign(g, key), nil, false},
		"with a flipped bit":         {flipped, trusted, false},
		"of the manifest alone":      {bad, trusted, false},
		"of another generation":      {moved, trusted, false},
		"with a signer that is none": {sign(g, key), source.Signers{[]byte("short")}, false},
	} {
		if err := x.signers.Check(x.g); (err == nil) != x.want || err != nil && !errors.Is(err, source.ErrSigner) {
			t.Errorf("%s: got %v, want a trusted signature: %t", name, err, x.want)
		}
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := source.Sign(g.Raw, ec); err == nil {
		t.Error("an ECDSA key signs")
	}
}

func TestSignersHaveErrorsWithLines(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"": "there is no public key",
		"\n-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n": "signer.pub:2: ",
	} {
		_, err := source.LoadSigners("signer.pub", []byte(content))
		if err == nil || !strings.Contains(err.Error(), want) || len(configerror.All(err)) == 0 {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}
