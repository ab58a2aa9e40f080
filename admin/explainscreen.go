package admin

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// explainView is the screen with the form of a question, and its answer.
type explainView struct {
	Ports     []string
	Users     []string
	Asked     question
	HeaderSet string // the headers, one a line, as they were entered
	Explained *Explained
	Failure   *failure
}

// explainScreen shows the form. It answers a question in the query, as links have it, or in the
// body of the form.
func (c *call) explainScreen() (any, error) {
	v := &explainView{Ports: c.portNames()}
	asked := false
	if c.Method == http.MethodPost {
		asked = true
		if err := v.readForm(c); err != nil {
			v.Failure = asFailure(err)
			return v, nil
		}
	} else {
		q := c.URL.Query()
		v.Asked = question{Reference: q.Get("reference"), User: q.Get("user"), Port: q.Get("port"), Method: q.Get("method"), Path: q.Get("path")}
		asked = v.Asked.Reference != "" || v.Asked.Port != "" && (v.Asked.User != "" || v.Asked.Path != "")
	}
	if !asked {
		return v, nil
	}
	var err error
	if v.Explained, err = c.explain(&v.Asked); err != nil {
		v.Failure = asFailure(err)
	}
	v.Asked.Certificate = "" // it is not shown again
	return v, nil
}

// readForm reads the form, with its file if there is one.
func (v *explainView) readForm(c *call) error {
	c.Body = http.MaxBytesReader(c.w, c.Body, maxUpload)
	if err := c.ParseMultipartForm(maxUpload); err != nil {
		return bodyError(err)
	}
	defer func() { _ = c.MultipartForm.RemoveAll() }() // nothing is on disk: the body is smaller than the memory for it
	value := func(name string) string { return strings.TrimSpace(c.PostFormValue(name)) }
	v.Asked = question{
		Reference: value("reference"), User: value("user"), Certificate: value("certificate_pem"),
		Port: value("port"), Method: value("method"), Path: value("path"),
	}
	if files := c.MultipartForm.File["certificate"]; len(files) > 0 && files[0].Size > 0 {
		if v.Asked.Certificate != "" {
			return invalid("there are two certificates", "choose a file or paste one")
		}
		data, err := readPart(files[0])
		if err != nil {
			return err
		}
		v.Asked.Certificate = string(data)
		clear(data)
	}
	v.HeaderSet = value("headers")
	var err error
	v.Asked.Headers, err = readHeaders(v.HeaderSet)
	return err
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

// readHeaders reads lines NAME: VALUE.
func readHeaders(text string) (map[string]string, error) {
	out := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader([]byte(text)))
	lines.Buffer(nil, maxUpload+1)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, invalid(fmt.Sprintf("headers: %s is not NAME: VALUE", escape.Quote(line, escape.Short)), "one header a line")
		}
		out[name] = strings.TrimSpace(value)
	}
	return out, nil
}
