package admin

import (
	"bufio"
	"bytes"
	"fmt"
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
	Explained *apiExplained
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
	f, err := c.readForm()
	if err != nil {
		return err
	}
	v.Asked = question{
		Reference: f.value("reference"), User: f.value("user"), Certificate: f.certificate,
		Port: f.value("port"), Method: f.value("method"), Path: f.value("path"),
	}
	v.HeaderSet = f.value("headers")
	v.Asked.Headers, err = readHeaders(v.HeaderSet)
	return err
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
