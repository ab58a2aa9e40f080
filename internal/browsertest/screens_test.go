package browsertest_test

import (
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// views are the ways to look at each screen.
var views = map[string]view{
	"light":  {},
	"dark":   {Dark: true},
	"narrow": {Width: 320},
	"plain":  {WithoutScript: true},
}

// Every screen has no fault of accessibility, makes the browser log nothing, violates no content
// security policy, and fits into a narrow window: in light and in dark colours, and without
// JavaScript.
func TestEveryScreen(t *testing.T) {
	t.Parallel()
	for name, v := range views {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.populate()
			b := newBrowser(s, "alice")
			b.open(v)
			for _, path := range s.screens() {
				if status := b.load(path); status != http.StatusOK {
					t.Errorf("%s: %d, want %d", path, status, http.StatusOK)
				}
				b.check(path)
				b.keep(name + strings.NewReplacer("/", "_", "?", "-", "&", "-").Replace(path))
			}
			if reports := s.takeReports(); len(reports) > 0 {
				t.Errorf("violations of the content security policy: %q", reports)
			}
		})
	}
}

// keep keeps a picture of the page in the folder that the environment variable SHOTS names, to be
// looked at.
func (b *browser) keep(name string) {
	b.Helper()
	if folder := os.Getenv("SHOTS"); folder != "" {
		b.do("shot", map[string]any{"file": filepath.Join(folder, name+".png")}, nil)
	}
}

// In forced colours a page has no fault either.
func TestForcedColors(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.populate()
	b := newBrowser(s, "alice")
	b.open(view{ForcedColors: true})
	for _, path := range []string{"/", "/refusals"} {
		b.load(path)
		b.check(path)
	}
}

// The checks of the other tests find what they are for.
func TestChecksFindFaults(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.extra["/faults"] = `<!doctype html><html><body><p style="color: red">inline</p><img src="/static/icon.svg"><table><tr><td>` +
		strings.Repeat("wide", 300) + `</table><script>alert(1)</script><script src="/missing.js"></script>` + strings.Repeat("<p>text", 10) + `<button tabindex="-1">apart</button></body></html>`
	b := newBrowser(s, "alice")
	b.open(view{Width: 320})
	b.load("/faults")
	found := strings.Join(b.faults(), "\n")
	for _, want := range []string{"image-alt", "html-has-lang", "wider than 320 px", "console error: Failed to load resource", "Content Security Policy"} {
		if !strings.Contains(found, want) {
			t.Errorf("no %q in\n%s", want, found)
		}
	}
	testkit.Eventually(t, "the browser reports two violations", func() bool { return len(s.takeReports()) > 0 })
	if message := b.try("tab", map[string]any{"role": "button", "name": "apart"}, nil); !strings.Contains(message, "Tab does not lead") {
		t.Errorf("a button that Tab does not lead to: %q", message)
	}
}

var (
	href   = regexp.MustCompile(`href="(/[^"#]*)"`)
	oneOf  = regexp.MustCompile(`^/(ports|mappings|refusals|connections)/[^/?]+`)
	value  = regexp.MustCompile(`=[^&]*`)
	filter = regexp.MustCompile(`^(/(connections|mappings|refusals))\?.*`)
)

// kindOf returns what a path has in common with those of the same screen.
func kindOf(path string) string {
	return value.ReplaceAllString(filter.ReplaceAllString(oneOf.ReplaceAllString(path, "/$1/{}"), "$1"), "=")
}

// screens follows the links of the page, and returns a path of each kind.
func (s *site) screens() []string {
	s.Helper()
	client := testkit.Client(s, s.roots, s.pair("alice"))
	found := map[string]string{"/": "/"} // by kind
	for queue := []string{"/"}; len(queue) > 0; queue = queue[1:] {
		res, err := client.Get(s.origin() + queue[0])
		if err != nil {
			s.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			s.Fatal(err)
		}
		for _, match := range href.FindAllStringSubmatch(string(body), -1) {
			path := strings.ReplaceAll(match[1], "&amp;", "&")
			if kind := kindOf(path); found[kind] == "" && !strings.HasPrefix(path, "/static/") {
				found[kind] = path
				queue = append(queue, path)
			}
		}
	}
	for _, want := range []string{
		"/", "/ports", "/ports/{}", "/connections", "/mappings", "/mappings/{}", "/refusals", "/refusals/{}", "/explain", "/trust", "/changes", "/lint",
	} {
		if found[want] == "" {
			s.Errorf("no link leads to %s: %q", want, found)
		}
	}
	return slices.Sorted(maps.Values(found))
}
