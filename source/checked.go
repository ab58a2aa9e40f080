package source

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/mtlsguard/mtlsguard/internal/fileform"
)

// ErrPrivateKey is wrapped by the error of a file that holds a private key, or whose kind is for private keys: a
// store is not a place for one.
var ErrPrivateKey = errors.New("it holds a private key, which must not be in a store: remove it, and leave the key on its node")

// privateKeyError is ErrPrivateKey with what the file is or holds.
type privateKeyError string

func (e privateKeyError) Error() string {
	return "it " + string(e) + ", and private keys must not be in a store: remove it, and leave the key on its node; certificates are shared in PEM"
}

func (e privateKeyError) Unwrap() error { return ErrPrivateKey }

// checked reads a file, and checks what it reads.
type checked struct {
	io.ReadCloser
	file File
	hash hash.Hash
	read int64
	keys fileform.KeyFinder
	err  error
}

func newChecked(r io.ReadCloser, f File) *checked {
	return &checked{ReadCloser: r, file: f, hash: sha256.New()}
}

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
	private := c.keys.Next(p[:n])
	switch {
	case c.read > c.file.Size:
		c.fail(fmt.Errorf("has more than the %d bytes of the manifest", c.file.Size))
	case private != "":
		c.fail(privateKeyError(private))
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
