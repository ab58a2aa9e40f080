package admin

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// form is what a form of a screen sends.
type form struct {
	values      url.Values
	certificate string // the file, or pasted as PEM; "" if there is none
}

// value returns a field without blanks at its ends.
func (f *form) value(name string) string { return strings.TrimSpace(f.values.Get(name)) }

// readForm reads a form, with the file of a certificate if there is one.
func (c *call) readForm() (*form, error) {
	if err := c.ParseMultipartForm(maxUpload); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return nil, bodyError(err)
	}
	for name, values := range c.PostForm {
		// Other fields are shown again or logged. readCertificates looks at certificate_pem.
		if name != "certificate_pem" && slices.ContainsFunc(values, holdsKey[string]) {
			delete(c.PostForm, "note") // logEdit reads it
			return nil, errHasKey
		}
	}
	out := &form{values: c.PostForm}
	out.certificate = out.value("certificate_pem")
	if c.MultipartForm == nil {
		return out, nil
	}
	defer func() { _ = c.MultipartForm.RemoveAll() }() // nothing is on disk: the body is smaller than the memory for it
	if files := c.MultipartForm.File["certificate"]; len(files) > 0 && files[0].Size > 0 {
		if out.certificate != "" {
			return nil, invalid("there are two certificates", "choose a file or paste one")
		}
		data, err := readPart(files[0])
		if err != nil {
			return nil, err
		}
		out.certificate = string(data)
		clear(data)
	}
	return out, nil
}

// readPart reads the file of a form.
func readPart(h *multipart.FileHeader) ([]byte, error) {
	f, err := h.Open()
	if err != nil {
		return nil, bodyError(err)
	}
	defer f.Close()
	return io.ReadAll(f)
}

// formatChain returns certificates as PEM, for a form that sends them again.
func formatChain(chain []*x509.Certificate) string {
	var out bytes.Buffer
	for _, c := range chain {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a Buffer does not fail
	}
	return out.String()
}
