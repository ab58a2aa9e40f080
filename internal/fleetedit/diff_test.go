package fleetedit

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mtlsguard/mtlsguard/source"
)

func generation(t *testing.T, files map[string]string) *source.Generation {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	g, err := source.Next(nil, source.Manifest{Fleet: "orders", Author: "anna"}, fsys)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func mapping(id string) string { return fmt.Sprintf("  - {id: %s, user: %s, dns: %s}\n", id, id, id) }

// A comparison reads no more bytes than its limit, and says which files it left out.
func TestDiffReadsNoMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	line := "p, user:a, *, GET, /a, allow\n"
	a := generation(t, map[string]string{"a.csv": line, "b.csv": line, "c.csv": line, "same.csv": strings.Repeat(line, 99)})
	b := generation(t, map[string]string{"a.csv": "", "b.csv": strings.Repeat(line, 9), "c.csv": "", "d.csv": line, "same.csv": strings.Repeat(line, 99)})
	diff, err := Diff(t.Context(), a, b, Limits{Read: int64(3 * len(line)), Parse: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range diff {
		got = append(got, fmt.Sprintf("%s %s %d %s", d.Change, d.Name, len(d.Items), d.LeftOut))
	}
	if want := []string{"changed a.csv 1 ", "changed b.csv 0 not compared: 290 bytes, and one comparison reads 87 bytes of files", "changed c.csv 1 ", "added d.csv 1 "}; !slices.Equal(got, want) {
		t.Errorf("%q\nwant\n%q", got, want)
	}
}

// A comparison parses no more than its limit, whatever stands in the files: text of one byte can take 400 bytes of memory.
// Covers U10.
func TestDiffParsesNoMoreThanItsLimit(t *testing.T) {
	// not parallel: it measures the memory of the process
	const size = 8 << 20
	fill := func(head, what, tail string) string {
		return head + strings.Repeat(what, (size-len(head)-len(tail))/len(what)) + tail
	}
	for name, text := range map[string]string{
		"a.yaml": fill("mappings:\n", "-\n", ""), "b.yaml": fill("mappings: [a", ",a", "]"), "c.yaml": fill("mappings: [{", "?,", "}]"), "d.yaml": fill("mappings:\n", "- {}\n", ""),
		"e.csv": fill("", "p,\n", ""), "f.jsonl": fill("", "{}\n", ""), "g.yaml": fill("mappings: [", `"",`, "]"),
	} {
		g := generation(t, map[string]string{name: text, "z.csv": "p, user:a, *, GET, /a, allow\n"})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		diff, err := Diff(t.Context(), nil, g, Limits{Read: 2 * size, Parse: 100_000})
		runtime.ReadMemStats(&after)
		if err != nil || len(diff) != 2 || diff[0].LeftOut != tooMuch || len(diff[1].Items) != 1 {
			t.Errorf("%s: got %+v, %v", name, diff, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 100<<20 {
			t.Errorf("%s: %d MiB were used", name, used>>20)
		}
	}
}

// Only the lines that differ are parsed if the rest means the same without them, and the whole otherwise.
// Covers U11.
func TestDiffParsesWhatDiffers(t *testing.T) {
	t.Parallel()
	head, a, b, c := "mappings:\n", mapping("a"), mapping("b"), mapping("c")
	jsonA, jsonB := `{"id":"a"}`+"\n", `{"id":"b"}`+"\n"
	other := strings.Replace(b, "user: b", "user: x", 1)
	for _, x := range []struct{ what, name, was, is, want, lines string }{
		{"added", "u.yaml", head + a + c, head + a + b + c, "+b", b},
		{"removed", "u.yaml", head + a + b + c, head + a + c, "-b", ""},
		{"changed", "u.yaml", head + a + b + c, head + a + other + c, "-b+b", other},
		{"another order", "u.yaml", head + a + b + c, head + b + a + c, "", b + a},
		{"at the end, without a newline", "u.yaml", head + a + strings.TrimSpace(b), head + a + b + c, "+c", b + c},
		{"an anchor in front", "u.yaml", head + strings.Replace(a, "user: a", "user: &u a", 1) + b, head + strings.Replace(a, "user: a", "user: &u a", 1) + strings.Replace(b, "user: b", "user: *u", 1), "-b+b", strings.Replace(b, "user: b", "user: *u", 1)},
		{"a block in front", "u.yaml", head + a + "  - id: b\n    user: b\n" + c, head + a + "  - id: b\n    user: x\n" + c, "-b+b", "    user: x\n"},
		{"an alias behind", "u.yaml", head + strings.Replace(a, "user: a", "user: &u a", 1) + strings.Replace(b, "user: b", "user: *u", 1), head + strings.Replace(a, "user: a", "user: &u x", 1) + strings.Replace(b, "user: b", "user: *u", 1), "-a+a-b+b", strings.Replace(a, "user: a", "user: &u x", 1)},
		{"a comment in a quoted value", "u.yaml", head + "  - {id: a, subject: \"CN=bob\n    #1\"}\n", head + "  - {id: a, subject: \"CN=bob\n    #2\"}\n", "-a+a", "    #2\"}\n"},
		{"the same, and a brace before", "u.yaml", head + "  - {id: a, subject: \"CN=bob}\n    #1\n    \"}\n", head + "  - {id: a, subject: \"CN=bob}\n    #2\n    \"}\n", "-a+a", "    #2\n"},
		{"a mapping in a quoted value", "u.yaml", head + "  - {id: a, subject: 'CN=bob}\n    - {id: y}\n    '}\n", head + "  - {id: a, subject: 'CN=bob}\n    - {id: z}\n    '}\n", "-a+a", "    - {id: z}\n"},
		{"a block of text", "u.yaml", head + "  - id: a\n    subject: |\n      #1\n", head + "  - id: a\n    subject: |\n      #2\n", "-a+a", "      #2\n"},
		{"one line", "u.yaml", "mappings: [{id: a, user: a}]\n", "mappings: [{id: a, user: x}]\n", "-a+a", "mappings: [{id: a, user: x}]\n"},
		{"a comment", "u.yaml", head + a + "  # one\n" + b, head + a + "  # two\n" + b, "", "  # two\n"},
		{"JSON lines", "u.jsonl", jsonA, jsonA + jsonB, "+b", jsonB},
		{"a wrong line elsewhere", "u.jsonl", "{\n", "{\n" + jsonB, "+b", jsonB},
		{"a rule once more", "p.csv", "p, a\n", "p, a\np, a\n", "+p, a", "p, a\n"},
	} {
		var got strings.Builder
		items, leftOut := diffFiles(x.name, []byte(x.was), []byte(x.is), &Limits{Parse: 1 << 20})
		if leftOut != "" {
			t.Errorf("%s: left out: %s", x.what, leftOut)
		}
		for _, i := range items {
			if i.Old != "" {
				got.WriteString("-" + idOf(i.Old))
			}
			if i.New != "" {
				got.WriteString("+" + idOf(i.New))
			}
		}
		if _, _, lines := differentLines([]byte(x.was), []byte(x.is)); got.String() != x.want || string(lines) != x.lines {
			t.Errorf("%s: %s, want %s; the lines that differ are %q, want %q", x.what, &got, x.want, lines, x.lines)
		}
	}
}

func idOf(text string) string {
	if _, rest, ok := strings.Cut(text, `"id"`); ok {
		return strings.Trim(rest, `: "`)[:1]
	}
	return text
}

// Parsing only what differs shows the same as parsing everything.
// Covers U11.
func FuzzDiffFiles(f *testing.F) {
	f.Add("u.jsonl", []byte("{\"id\":\"a\"}\n{\"id\":\"b\"}"), []byte("{\"id\":\"a\"}\n{\"id\":\"c\"}\n"))
	f.Add("p.csv", []byte("p, a\np, b\np, a\n"), []byte("p, b\n\np, a"))
	f.Add("u.yaml", []byte("mappings:\n"+mapping("a")+mapping("b")), []byte("mappings:\n"+mapping("a")+"  # c\n"+mapping("c")+mapping("b")))
	f.Fuzz(func(t *testing.T, name string, was, is []byte) {
		_, a, b := differentLines(was, is)
		if !bytes.Contains(was, a) || !bytes.Contains(is, b) || len(was)-len(a) != len(is)-len(b) {
			t.Errorf("%q and %q: the lines that differ are %q and %q", was, is, a, b)
		}
		for _, data := range [][]byte{was, is} {
			if _, err := usersItems("u.jsonl", data); err != nil && strings.HasSuffix(name, ".jsonl") {
				return // a wrong file shows what it can
			}
			items, err := itemsOf(name, data)
			if err != nil {
				return
			}
			for _, i := range items {
				if i.kind == "mapping" && !strings.HasPrefix(i.key, "1 ") {
					return // of two mappings of one id, either may be taken for the changed one
				}
			}
		}
		olds, _ := itemsOf(name, was)
		news, _ := itemsOf(name, is)
		got, leftOut := diffFiles(name, was, is, &Limits{Parse: 1 << 30})
		want := diffItems(olds, news)
		for _, items := range [][]ItemDiff{got, want} { // of equal lines, either may be the one that differs
			slices.SortFunc(items, func(a, b ItemDiff) int { return cmp.Or(cmp.Compare(a.Old, b.Old), cmp.Compare(a.New, b.New)) })
		}
		if leftOut != "" || len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%s, %q and %q:\n%q %s\nwant\n%q", name, was, is, got, leftOut, want)
		}
	})
}

// A change that cannot be shown is not passed over.
// Covers U11.
func TestDiffSaysWhatItCannotCompare(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"users.yaml": "mappings: *m\n", "users.jsonl": "{\n", "notes.txt": "one\n", "ca.pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		diff, err := Diff(t.Context(), nil, generation(t, map[string]string{name: text}), Limits{1 << 20, 1 << 20})
		if err != nil || len(diff) != 1 || !strings.HasPrefix(diff[0].LeftOut, "not compared: ") {
			t.Errorf("%s: got %+v, %v; want one file that is not compared", name, diff, err)
		}
	}
}

// Another CRL is another item, whatever its number.
// Covers U11.
func TestDiffTellsCRLsApart(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	list := func(serial int64) string {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: now, NextUpdate: now.Add(time.Hour),
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(serial), RevocationTime: now}},
		}, &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}, SubjectKeyId: []byte{1}, KeyUsage: x509.KeyUsageCRLSign}, key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
	}
	if items, leftOut := diffFiles("ca.crl", []byte(list(1)), []byte(list(2)), &Limits{Parse: 1 << 20}); len(items) != 1 || leftOut != "" {
		t.Errorf("got %q %s", items, leftOut)
	}
}
