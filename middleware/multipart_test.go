package middleware_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strconv"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
)

// Covers H20. net/http removes the files of an upload when the handler has returned,
// behind a guard too.
func TestFilesOfAnUploadAreRemoved(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir)
	files := func() int { return len(must[[]os.DirEntry](t)(os.ReadDir(dir))) }
	upload := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1); err != nil {
			t.Error(err)
		}
		io.WriteString(w, strconv.Itoa(files()))
	})
	guard := newGuard(t)
	for name, h := range map[string]http.Handler{
		"Handler":                guard.Handler(upload),
		"Identify and Authorize": guard.Identify(guard.Authorize(upload)),
	} {
		for _, h2 := range []bool{false, true} {
			port := newPort(t, "p", ports.Require)
			serve(t, h, port)
			c := dial(t, port, shared().alice, h2)
			var b bytes.Buffer
			form := multipart.NewWriter(&b)
			f := must[io.Writer](t)(form.CreateFormFile("file", "file"))
			f.Write(make([]byte, 12<<20)) // beyond the 10 MiB that stay in memory
			form.Close()
			res, err := c.http.Post(c.url+"/%78", form.FormDataContentType(), &b)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode != 200 || string(body) != "1" {
				t.Fatalf("%s, HTTP/2 %t: %d, %s files while the handler runs", name, h2, res.StatusCode, body)
			}
			testkit.Eventually(t, fmt.Sprintf("%s, HTTP/2 %t: the files are removed", name, h2), func() bool { return files() == 0 })
		}
	}
}
