package pemfile_test

import (
	"bytes"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/pemfile"
)

func block(label string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: []byte("0123456789")}))
}

// Each and EachOnly reject malformed blocks, with the position of the error.
func TestBlocks(t *testing.T) {
	t.Parallel()
	certificate, key := block("CERTIFICATE"), block("PRIVATE KEY")
	head, _, _ := strings.Cut(certificate, "\n")
	noEnd := certificate[:strings.Index(certificate, "-----END")]
	for _, row := range []struct {
		name, data string
		each, only string // the error of Each, of EachOnly; "" means no error
		blocks     int    // of Each
		line       int    // of the last block, or of the error of Each
	}{
		{"one", certificate, "", "", 1, 1},
		{"two", certificate + certificate, "", "", 2, 4},
		{"CRLF", strings.ReplaceAll(certificate+certificate, "\n", "\r\n"), "", "", 2, 4},
		{"no line end after it", strings.TrimSpace(certificate), "", "", 1, 1},
		{"blanks at the line's end", strings.TrimSpace(certificate) + " \t\n", "", "", 1, 1},
		{"CR without LF at the end", strings.TrimSpace(certificate) + "\r", "", "", 1, 1},
		{"two CR", strings.TrimSpace(certificate) + "\r\r\n", "damaged", "", 0, 1},
		{"text before", "subject=x\n" + certificate, "", "text that is not", 1, 2},
		{"text between", certificate + "# next\n" + certificate, "", "text that is not", 2, 5},
		{"text after", certificate + "x", "", "text that is not", 1, 1},
		{"another label", certificate + key, "", `a "PRIVATE KEY" block`, 2, 4},
		{"headers", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"A": "b"}, Bytes: []byte{1}})), "", "headers", 1, 1},
		{"empty", "", "", "empty", 0, 0},
		{"text only", "hello\n", "", "text that is not", 0, 0},
		{"text on the end line", strings.TrimSpace(certificate) + "x\n", "damaged", "text that is not", 0, 1},
		{"text before the beginning", "x" + certificate, "start of a line", "text that is not", 0, 1},
		{"NUL", certificate + "\n\x00", "NUL", "text that is not", 0, 5},
		{"no end", noEnd, "no end", "no end", 0, 1},
		{"no end, then a block", noEnd + certificate, "no end", "no end", 0, 1},
		{"two beginnings", head + "\n" + certificate, "no end", "no end", 0, 1},
		{"the end of another", strings.Replace(certificate, "END CERTIFICATE", "END X509 CRL", 1), "no end", "no end", 0, 1},
		{"one line", "-----BEGIN CERTIFICATE-----END CERTIFICATE-----", "no end", "no end", 0, 1},
		{"half a beginning", "-----BEGIN CERT", "no end", `a "CERT" block`, 0, 1},
		{"a long label", "-----BEGIN " + strings.Repeat("A", 65) + "-----\n-----END " + strings.Repeat("A", 65) + "-----\n", "no end", "block among", 0, 1},
		{"not base64", strings.Replace(certificate, "MDEy", "M*Ey", 1), "damaged", "damaged", 0, 1},
		{"good, then not base64", certificate + strings.Replace(certificate, "MDEy", "M*Ey", 1), "damaged", "damaged", 1, 4},
	} {
		var lines []int
		visit := func(b pemfile.Block) error { lines = append(lines, b.Line); return nil }
		err := pemfile.Each("file", []byte(row.data), visit)
		all := configerror.All(err)
		switch {
		case (row.each == "") != (err == nil) || err != nil && (len(all) != 1 || !strings.Contains(all[0].What, row.each) || all[0].File != "file" || all[0].Line != row.line || all[0].Hint == ""):
			t.Errorf("%s: %v, want %q in line %d", row.name, err, row.each, row.line)
		case len(lines) != row.blocks || err == nil && row.blocks > 0 && lines[len(lines)-1] != row.line:
			t.Errorf("%s: blocks in lines %v, want %d", row.name, lines, row.blocks)
		}
		err = pemfile.EachOnly("file", []byte(row.data), "CERTIFICATE", visit)
		if all := configerror.All(err); (row.only == "") != (err == nil) || err != nil && (!strings.Contains(all[0].What, row.only) || all[0].Hint == "") {
			t.Errorf("%s, only certificates: %v, want %q", row.name, err, row.only)
		}
	}
}

// Errors of the caller get the position of their block, and all are returned.
func TestErrorsOfBlocksHavePositions(t *testing.T) {
	t.Parallel()
	data := []byte(block("CERTIFICATE") + block("CERTIFICATE"))
	for name, each := range map[string]func(func(pemfile.Block) error) error{
		"each": func(f func(pemfile.Block) error) error { return pemfile.Each("file", data, f) },
		"only": func(f func(pemfile.Block) error) error { return pemfile.EachOnly("file", data, "CERTIFICATE", f) },
	} {
		var lines []int
		for _, e := range configerror.All(each(func(pemfile.Block) error { return &configerror.Error{What: "no"} })) {
			lines = append(lines, e.Line)
		}
		if !slices.Equal(lines, []int{1, 4}) {
			t.Errorf("%s: got %v", name, lines)
		}
	}
}

// The time grows with the length of a file, not with its square.
func TestLongFilesTakeLinearTime(t *testing.T) {
	t.Parallel()
	begin := []byte("-----BEGIN CERTIFICATE-----\n")
	start := time.Now()
	for _, data := range [][]byte{
		bytes.Repeat(begin, 100_000),
		append(bytes.Clone(begin), bytes.Repeat([]byte("AAAA\n"), 1_000_000)...),
		bytes.Repeat([]byte("\n"), 5_000_000),
		bytes.Repeat([]byte(block("CERTIFICATE")), 20_000),
	} {
		_ = pemfile.Each("file", data, func(pemfile.Block) error { return nil })
		_ = pemfile.EachOnly("file", data, "CERTIFICATE", func(pemfile.Block) error { return nil })
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("got %v", d)
	}
}

func FuzzEach(f *testing.F) {
	f.Add([]byte(block("CERTIFICATE") + "text\n" + block("PRIVATE KEY")))
	f.Add([]byte("-----BEGIN X-----\n-----BEGIN -----END X-----"))
	f.Add([]byte("-----BEGIN X-----\n-----END X-----\r"))
	f.Add([]byte("text\n" + strings.TrimSuffix(block("PRIVATE KEY"), "\n") + "\v")) // white space for Go, but not in PEM
	f.Fuzz(func(t *testing.T, data []byte) {
		var got []pemfile.Block
		if err := pemfile.Each("file", data, func(b pemfile.Block) error { got = append(got, b); return nil }); err != nil {
			return
		}
		// Blocks that are read without an error are those of encoding/pem.
		rest := bytes.TrimSuffix(data, []byte("\r")) // of a file with CR LF that lacks its last byte
		for i, b := range got {
			var std *pem.Block
			if std, rest = pem.Decode(rest); std == nil || std.Type != b.Label || !bytes.Equal(std.Bytes, b.Bytes) {
				t.Fatalf("block %d differs", i)
			}
		}
		if std, _ := pem.Decode(rest); std != nil {
			t.Fatal("a block was skipped")
		}
	})
}
