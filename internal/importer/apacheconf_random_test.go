package importer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"os"
	"path/filepath"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/apacheconf"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/policy"
)

// drawn is a Location of a random configuration.
type apacheLocation struct {
	path    string
	lets    map[string]bool // nil: it requires no user, and inherits
	unclear bool            // its content is not read: the result may let no user in
}

// Random Locations in one another never let a user in whom httpd would not: for each path the last
// Location in the file that covers it and requires somebody decides. Covers T2.
func TestRandomLocationsAreNeverWider(t *testing.T) {
	t.Parallel()
	requirements := []struct {
		text string
		lets string
	}{
		{"Require group staff", "alice bob orders"}, {"Require group ops", "alice"}, {"Require valid-user", "alice bob orders"}, {"Require all denied", ""}, {"Require group ops staff", "alice bob orders"},
		{"Require user /O=Acme/OU=Staff/CN=bob", "bob"}, {"Require user /O=Acme/OU=Staff/CN=bob\nRequire group ops", "alice bob"}, {"Require all granted", "alice bob orders"},
		{"Require expr x", "?"}, {"<RequireAll>\nRequire group ops\n</RequireAll>", "?"}, {"Deny from 10.0.0.1", "?"}, {"AuthUserFile others", "?"}, {"SSLOptions -FakeBasicAuth", "?"}, {"AuthName x", "-"},
	}
	paths := []string{"/", "/a", "/a/", "/a/b", "/a/b/c", "/d", "/d/"}
	probes := []string{"/", "/x", "/a", "/a/", "/a/x", "/a/b", "/a/b/", "/a/b/x", "/a/b/c", "/a/b/c/x", "/d", "/d/", "/d/x", "/ab"}
	random := rand.New(rand.NewPCG(3, 4))
	dir := importertest.Folder(t, map[string]string{"users": apacheUsers, "groups": apacheGroups})
	allowed := 0
	for i := range 400 {
		var all []apacheLocation
		var sections []string
		for range 1 + random.IntN(5) {
			r := requirements[random.IntN(len(requirements))]
			d := apacheLocation{path: paths[random.IntN(len(paths))], unclear: r.lets == "?"}
			if r.lets != "-" && !d.unclear {
				d.lets = map[string]bool{}
				for _, user := range strings.Fields(r.lets) {
					d.lets[user] = true
				}
			}
			all = append(all, d)
			sections = append(sections, apacheSection(d.path, r.text))
		}
		conf := apacheSite(sections...)
		file := filepath.Join(dir, "t.conf")
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		in, err := importer.New(importer.Options{Format: "test", Narrow: random.IntN(2) == 0})
		if err != nil {
			t.Fatal(err)
		}
		if err := apacheconf.Read(in, file, apacheconf.Options{}); err != nil {
			continue // no Location with a user
		}
		out, err := in.Finish()
		if errors.Is(err, importer.ErrDefect) {
			t.Fatalf("%d: %v\n%s", i, err, conf)
		}
		if err != nil {
			continue
		}
		text := ""
		for _, f := range out.Files {
			if f.Name == "policy.csv" {
				text = string(f.Data)
			}
		}
		engine, err := policy.Load("policy.csv", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range probes {
			for _, user := range []string{"alice", "bob", "orders", "carol"} {
				d, err := engine.Decide(context.Background(), policy.Request{User: user, Port: "p", Method: "GET", Path: path})
				if err != nil || !d.Allowed {
					continue
				}
				allowed++
				if why := refusedByHTTPD(all, path, user); why != "" {
					t.Fatalf("%d: %s may %s: %s\n%s\n%s", i, user, path, why, conf, text)
				}
			}
		}
	}
	if allowed < 1000 {
		t.Errorf("only %d requests are allowed", allowed)
	}
}

// refusedByHTTPD returns why httpd refuses a request, or may refuse it.
func refusedByHTTPD(all []apacheLocation, path, user string) (why string) {
	var decides *apacheLocation
	for i, d := range all {
		if path != d.path && !strings.HasPrefix(path, strings.TrimSuffix(d.path, "/")+"/") {
			continue
		}
		if d.unclear {
			decides = nil
			why = fmt.Sprintf("the meaning of %s is not known", d.path)
		} else if d.lets != nil {
			decides = &all[i]
		}
	}
	switch {
	case decides == nil && why == "":
		return "no Location requires anybody"
	case decides == nil:
		return why
	case !decides.lets[user]:
		return "not allowed by " + decides.path
	}
	return ""
}
