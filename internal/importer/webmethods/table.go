package webmethods

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
)

// tableRow is a row of a table.
type tableRow struct {
	line  int
	cells map[string]string // by column
}

// readTable reads a table whose first line names the columns. A column is found by a part of its
// name, such as CERT_BYTES in HEX(CERT_BYTES), in any case.
func (s *instance) readTable(name, hint string, columns ...string) ([]tableRow, error) {
	data, err := s.in.ReadFile(name)
	if err != nil {
		return nil, err
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	r := csv.NewReader(bytes.NewReader(data))
	first, _, _ := bytes.Cut(data, []byte("\n"))
	for _, c := range ";\t" {
		if bytes.ContainsRune(first, c) {
			r.Comma = c
		}
	}
	var head []string
	var out []tableRow
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			e := &configerror.Error{File: name, What: "this is not CSV: " + err.Error(), Hint: hint}
			if inner, ok := errors.AsType[*csv.ParseError](err); ok {
				e.Line, e.Column, e.What = inner.Line, inner.Column, "this is not CSV: "+inner.Err.Error()
			}
			return nil, e
		}
		if head == nil {
			if head, err = tableHead(name, hint, cells, columns); err != nil {
				return nil, err
			}
			continue
		}
		line, _ := r.FieldPos(0)
		row := tableRow{line, map[string]string{}}
		for i, c := range cells {
			row.cells[head[i]] = strings.TrimSpace(c)
		}
		out = append(out, row)
	}
	if head == nil {
		return nil, &configerror.Error{File: name, What: "the table is empty", Hint: hint}
	}
	return out, nil
}

// tableHead returns the column of each cell, "" for others. All columns must be there but methods.
func tableHead(name, hint string, cells, columns []string) ([]string, error) {
	out := make([]string, len(cells))
	found := map[string]bool{}
	for i, cell := range cells {
		for _, c := range columns {
			if !strings.Contains(strings.ToLower(cell), c) {
				continue
			}
			if found[c] {
				return nil, &configerror.Error{File: name, Line: 1, What: "two columns are " + c, Hint: hint}
			}
			out[i], found[c] = c, true
			break
		}
	}
	for _, c := range columns {
		if !found[c] && c != "methods" {
			return nil, &configerror.Error{File: name, Line: 1, What: "no column is " + c, Hint: hint}
		}
	}
	return out, nil
}
