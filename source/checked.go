package source

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/mtlsguard/mtlsguard/internal/fileform"
)

// ErrPrivateKey is wrapped by the error of a file that holds a private key, or whose kind is for private keys: a
// store is not a place for one.
var ErrPrivateKey = errors.New("it holds a private key, and a store is no place for one: remove it, and leave the key on its node")

// keyKindError is ErrPrivateKey for a kind of file.
type keyKindError string

func (e keyKindError) Error() string {
	return "it is " + string(e) + ", and a store is no place for private keys: remove it, and leave the key on its node; certificates are shared in PEM"
}

func (e keyKindError) Unwrap() error { return ErrPrivateKey }

// checked reads a file, and checks what it reads.
type checked struct {
	io.ReadCloser
	file File
	hash hash.Hash
	read int64
	head []byte // the first bytes, which show what kind of file it is
	tail []byte // the last bytes, in which a mark may have begun
	err  error
}

func newChecked(r io.ReadCloser, f File) *checked {
	return &checked{ReadCloser: r, file: f, hash: sha256.New()}
}

var privateMark = []byte("PRIVATE KEY")

// Read reads and checks. Its error stays.
func (c *checked) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.file.Size-c.read+1)])
	c.read += int64(n)
	c.hash.Write(p[:n])
	private := c.privateKey(p[:n])
	switch {
	case c.read > c.file.Size:
		c.fail(fmt.Errorf("has more than the %d bytes of the manifest", c.file.Size))
	case private != nil:
		c.fail(private)
	case err == io.EOF && c.read != c.file.Size:
		c.fail(fmt.Errorf("has %d bytes, and %d in the manifest", c.read, c.file.Size))
	case err == io.EOF && Digest(c.hash.Sum(nil)) != c.file.SHA256:
		c.fail(fmt.Errorf("has other content than in the manifest: its SHA-256 is %x", c.hash.Sum(nil)))
	default:
		c.err = err
		return n, err
	}
	return 0, c.err
}

func (c *checked) fail(err error) { c.err = fmt.Errorf("file %s: %w", c.file.Name, err) }

// privateKey returns an error if the file holds a private key, or is of a kind that does, as p and what was
// read before show.
func (c *checked) privateKey(p []byte) error {
	if c.holdsKey(p) {
		return ErrPrivateKey
	}
	missing := fileform.KindHead - len(c.head)
	if missing == 0 {
		return nil
	}
	c.head = append(c.head, p[:min(len(p), missing)]...)
	if kind := fileform.KeyKind(c.head); kind != "" {
		return keyKindError(kind)
	}
	return nil
}

// holdsKey reports whether the mark of a private key ends in p.
func (c *checked) holdsKey(p []byte) bool {
	const kept = len("PRIVATE KEY") - 1
	joined := append(c.tail, p[:min(len(p), kept)]...)
	found := bytes.Contains(joined, privateMark) || bytes.Contains(p, privateMark)
	if len(p) >= kept {
		joined = append(joined[:0], p[len(p)-kept:]...)
	}
	c.tail = joined[max(0, len(joined)-kept):]
	return found
}
