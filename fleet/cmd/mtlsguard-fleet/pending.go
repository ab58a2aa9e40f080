package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/replacefile"
	"github.com/mtlsguard/mtlsguard/source"
)

// Names in the archive of a pending generation. Its files are below pendingFiles with their own
// names, so that people can read them.
const (
	pendingManifest   = "MANIFEST"
	pendingSignatures = "MANIFEST.sig"
	pendingFiles      = "files/"
)

// writePending writes a generation with its files into an archive.
func writePending(name string, g *source.Generation) error {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	add := func(name string, data []byte) error {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write(data)
		}
		return err
	}
	signatures, err := json.Marshal(g.Signatures)
	errs := []error{err, add(pendingManifest, g.Raw), add(pendingSignatures, signatures)}
	for _, f := range g.Manifest.Files {
		data, err := g.ReadFile(context.Background(), f)
		errs = append(errs, err, add(pendingFiles+f.Name, data))
	}
	errs = append(errs, w.Close())
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := replacefile.Write(name, out.Bytes(), replacefile.Options{}); err != nil {
		return &configerror.Error{File: name, What: "the file cannot be written: " + err.Error(), Hint: "nothing was committed: name another file"}
	}
	return nil
}

// openPending opens a pending generation. Its files are read, and checked, when they are needed.
func openPending(name string) (g *source.Generation, end func(), err error) {
	z, err := zip.OpenReader(name)
	if err != nil {
		return nil, nil, pendingError(name, err)
	}
	raw, err := readEntry(&z.Reader, pendingManifest, source.MaxManifest)
	if err != nil {
		z.Close()
		return nil, nil, pendingError(name, err)
	}
	data, err := readEntry(&z.Reader, pendingSignatures, source.MaxEnvelope)
	var signatures []source.Signature
	if err == nil {
		err = json.Unmarshal(data, &signatures)
	}
	if err == nil {
		g, err = source.New(raw, signatures, func(_ context.Context, f source.File) (io.ReadCloser, error) { return z.Open(pendingFiles + f.Name) })
	}
	if err != nil {
		z.Close()
		return nil, nil, pendingError(name, err)
	}
	return g, func() { z.Close() }, nil
}

func pendingError(name string, err error) error {
	return &configerror.Error{File: name, What: "this is not a pending generation: " + err.Error(), Hint: "name a file that push --out has written"}
}

// readEntry reads a file of an archive that has at most limit bytes.
func readEntry(z *zip.Reader, name string, limit int64) ([]byte, error) {
	f, err := z.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return data, err
}
