package browsertest_test

import (
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "make the pictures of docs/admin.md anew")

// maxPicture is the most bytes of a picture: a page of documentation loads fast.
const maxPicture = 150 << 10

// Every picture of docs/admin.md is there, is small, and shows what the page says. With -update
// they are made anew.
func TestPictures(t *testing.T) {
	docs, err := filepath.Abs("../../docs")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		takePictures(t, docs)
	}
	page, err := os.ReadFile(filepath.Join(docs, "admin.md"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob(filepath.Join(docs, "pictures", "admin-*.png"))
	if err != nil || len(all) != 2*len(pictures) {
		t.Errorf("%d pictures, want %d: go test -run TestPictures -update in internal/browsertest makes them (%v)", len(all), 2*len(pictures), err)
	}
	for _, file := range all {
		info, err := os.Stat(file)
		if err != nil || info.Size() > maxPicture || info.Size() < 1000 {
			t.Errorf("%s has %d bytes, at most %d: %v", file, info.Size(), maxPicture, err)
		}
		if name := "pictures/" + filepath.Base(file); !strings.Contains(string(page), name) {
			t.Errorf("docs/admin.md does not show %s", name)
		}
	}
}

// pictures are the screens of docs/admin.md by the name of their file.
var pictures = map[string]func(reference string) string{
	"overview": func(string) string { return "/" },
	"refusal":  func(reference string) string { return "/refusals/" + reference },
	"mappings": func(string) string { return "/mappings" },
}

func takePictures(t *testing.T, docs string) {
	s := newSite(t)
	s.populate()
	s.expect(http.StatusForbidden, s.pair("stranger"), "GET", "internal", "/orders/7")
	reference := s.newestUnmapped()
	b := newBrowser(s, "alice")
	for name, path := range pictures {
		for colours, v := range map[string]view{"light": {Width: 1100, Height: 900}, "dark": {Width: 1100, Height: 900, Dark: true}} {
			b.open(v)
			b.load(path(reference))
			b.anonymize(s)
			b.do("shot", map[string]any{"file": filepath.Join(docs, "pictures", "admin-"+name+"-"+colours+".png")}, nil)
		}
	}
}

// anonymize replaces the name of this machine, and the temporary folder.
func (b *browser) anonymize(s *site) {
	b.Helper()
	b.do("replace", map[string]any{"texts": [][2]string{{hostName(b), " on gateway-1"}, {s.dir + "/", ""}}}, nil)
}

func hostName(b *browser) string {
	b.Helper()
	name, err := os.Hostname()
	if err != nil {
		b.Fatal(err)
	}
	return " on " + name
}
