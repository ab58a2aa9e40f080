package pemfile

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
)

// A block that is decoded in parts is what encoding/pem makes of it.
func TestPartsAreDecodedAsTheWhole(t *testing.T) {
	for _, size := range []int{1, 47, 48, 49, 95, 96, 97, 1000, 10_000} {
		text := bytes.TrimSuffix(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: bytes.Repeat([]byte{1, 2, 3, 0xff, 5}, size)[:size]}), []byte("\n"))
		for _, text := range [][]byte{text, bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))} {
			want, _ := pem.Decode(text)
			got := decodeParts(text, 256)
			if got == nil || got.Type != want.Type || !bytes.Equal(got.Bytes, want.Bytes) || len(got.Headers) != 0 {
				t.Errorf("%d bytes: %v, want %v", size, got, want)
			}
		}
	}
}

// What is not plain is left to encoding/pem.
func TestPartsTakePlainBlocksOnly(t *testing.T) {
	lines := strings.Repeat(strings.Repeat("QUFB", 16)+"\n", 20)
	for name, body := range map[string]string{
		"a header":                       "Proc-Type: 4,ENCRYPTED\n\n" + lines,
		"no line end before the end":     strings.TrimSuffix(lines, "\n"),
		"padding in the middle":          "QUE=\n" + lines,
		"groups that go on in next part": "QUF\n" + lines + "B\n",
		"another character":              lines + "?\n",
		"one long line":                  strings.ReplaceAll(lines, "\n", "") + "\n",
	} {
		text := "-----BEGIN X-----\n" + body + "-----END X-----"
		if got := decodeParts([]byte(text), 256); got != nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func FuzzDecodeParts(f *testing.F) {
	for _, body := range []string{"QUFB\n", "QUE=\n", "A: b\n\nQUFB\n", " QUFB\r\n", strings.Repeat("QUFB\n", 20)} {
		f.Add([]byte(fmt.Sprintf("-----BEGIN X-----\n%s-----END X-----", body)))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := decodeParts(text, 16)
		if got == nil {
			return
		}
		want, after := pem.Decode(text)
		if want == nil || len(after) > 0 || got.Type != want.Type || !bytes.Equal(got.Bytes, want.Bytes) || len(want.Headers) > 0 {
			t.Fatalf("%q: %v, encoding/pem: %v", text, got, want)
		}
	})
}
