// Package csvfile imports a table of users with their certificates, as a spreadsheet or a database
// exports it.
//
//	user,certificate,until,ports
//	orders-api,certs/orders.pem,2026-12-31,internal
package csvfile

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// identifying are the columns that name a certificate, the most exact ones first.
var identifying = []string{"certificate", "fingerprint", "spki", "serial", "uri", "dns", "email", "subject"}

// columns are the columns that are read.
var columns = append([]string{"user", "id", "issuer", "ports", "not_before", "not_after", "disabled"}, identifying...)

// aliases are other names of columns.
var aliases = map[string]string{"from": "not_before", "until": "not_after"}

const hint = "a first line with the names of the columns: user, and one of " + "certificate, fingerprint, spki, serial, uri, dns, email, subject"

// Read reads tables whose first line names the columns.
func Read(in *importer.Import, names []string) error {
	for _, name := range names {
		if err := readFile(in, name); err != nil {
			return err
		}
	}
	return nil
}

func readFile(in *importer.Import, name string) error {
	data, err := in.ReadFile(name)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return &configerror.Error{File: name, What: "the table is UTF-16", Hint: "save it as CSV UTF-8"}
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	r := csv.NewReader(bytes.NewReader(data))
	r.Comma = separator(data)
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	head, err := r.Read()
	if err != nil {
		return syntaxError(name, err)
	}
	t := table{in: in, file: name}
	if err := t.readHead(head); err != nil {
		return err
	}
	for {
		cells, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return syntaxError(name, err)
		}
		line, _ := r.FieldPos(0)
		t.readRow(line, cells)
	}
}

// separator returns the character that separates the names in the first line.
func separator(data []byte) rune {
	first, _, _ := bytes.Cut(data, []byte("\n"))
	best := ','
	for _, c := range ";\t" {
		if bytes.Count(first, []byte(string(c))) > bytes.Count(first, []byte(string(best))) {
			best = c
		}
	}
	return best
}

func syntaxError(name string, err error) error {
	out := &configerror.Error{File: name, What: "this is not CSV: " + err.Error(), Hint: hint}
	if inner, ok := errors.AsType[*csv.ParseError](err); ok {
		out.Line, out.Column, out.What, out.Hint = inner.Line, inner.Column, "this is not CSV: "+inner.Err.Error(), `put a value that holds a quote or the separator into quotes, and double the quotes in it: "say ""hello"""`
	}
	return out
}

// table is a file of which the first line has been read.
type table struct {
	in    *importer.Import
	file  string
	names []string // of the columns; "" for one that is not read
}

func (t *table) readHead(head []string) error {
	for _, cell := range head {
		name := strings.ToLower(strings.TrimSpace(cell))
		if to := aliases[name]; to != "" {
			name = to
		}
		switch {
		case !slices.Contains(columns, name):
			if name != "" {
				t.in.Remark(fmt.Sprintf("the column %s is not read", escape.Quote(strings.TrimSpace(cell), escape.Short)))
			}
			name = ""
		case slices.Contains(t.names, name):
			return &configerror.Error{File: t.file, Line: 1, What: fmt.Sprintf("two columns are %s", name), Hint: "remove one"}
		}
		t.names = append(t.names, name)
	}
	if !slices.Contains(t.names, "user") {
		return &configerror.Error{File: t.file, Line: 1, What: "no column is user", Hint: hint}
	}
	return nil
}

// readRow reads a line of the table.
func (t *table) readRow(number int, cells []string) {
	r := row{table: t, cells: map[string]string{}}
	var text []string
	for i, cell := range cells {
		if i >= len(t.names) || t.names[i] == "" {
			continue
		}
		if cell = strings.TrimSpace(cell); cell != "" {
			r.cells[t.names[i]] = cell
			text = append(text, t.names[i]+"="+cell)
		}
	}
	if len(r.cells) == 0 {
		return // an empty line, as spreadsheets have them at the end
	}
	r.line = t.in.Line(importer.Place{File: t.file, Line: number}, strings.Join(text, ", "))
	if len(cells) > len(t.names) {
		r.skip(fmt.Sprintf("the line has %d values for %d columns", len(cells), len(t.names)), "put a value that holds the separator into quotes")
		return
	}
	r.read()
}
