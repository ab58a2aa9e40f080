package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folderFiles returns the content of the files in a folder by name.
func folderFiles(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		out[e.Name()] = read(t, filepath.Join(folder, e.Name()))
	}
	return out
}

// changedFiles returns the names whose content differs.
func changedFiles(before, after map[string]string) string {
	var out []string
	for name, text := range after {
		if old, ok := before[name]; !ok || old != text {
			out = append(out, name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			out = append(out, "-"+name)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// succeed runs a command line that must succeed.
func succeed(t *testing.T, line string) string {
	t.Helper()
	code, out, errs := runLine(t, line)
	if code != exitYes {
		t.Fatalf("%s: status %d: %s", line, code, errs)
	}
	return out
}

// listing returns what users list says, without places.
func listing(t *testing.T, name string) string {
	t.Helper()
	lines := strings.Split(succeed(t, "users list --users "+name), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// A folder that was split holds the same mappings, and gives the same answers.
func TestUsersSplitCarriesEveryMappingOver(t *testing.T) {
	dir := t.TempDir()
	if err := writeSite(dir); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	text := read(t, "users.yaml")
	for i := range 40 {
		text += fmt.Sprintf("  - {id: 'more %d', user: u%d, spki: \"%064x\", not_after: 2030-01-01, disabled: %t}\n", i, i, i+1, i%2 == 0)
	}
	put(t, "users.yaml", text)
	questions := []string{
		"explain --config mtlsguard.yaml --cert alice.pem --port internal GET /orders/7",
		"explain --config mtlsguard.yaml --cert orders.pem --port internal GET /orders/7",
		"explain --config mtlsguard.yaml --cert stranger.pem --port internal GET /orders/7",
		"explain --config mtlsguard.yaml --cert carol.pem --port partner GET /orders/7",
	}
	answers := func() (out []string) {
		for _, q := range questions {
			_, answer, _ := runLine(t, q)
			first, _, _ := strings.Cut(answer, "\n")
			out = append(out, first)
		}
		return out
	}
	want, listed := answers(), listing(t, "users.yaml")
	if err := os.Mkdir("deep", 0o700); err != nil {
		t.Fatal(err)
	}
	succeed(t, "users split --files 8 users.yaml one")
	succeed(t, "users split one/../users.yaml deep/users")
	// The same by way of one file of JSON lines.
	lines := ""
	for _, text := range folderFiles(t, "one") {
		lines += text
	}
	put(t, "deep/lines.jsonl", lines)
	succeed(t, "users split --files 4 deep/lines.jsonl three")
	if got := changedFiles(folderFiles(t, "one"), map[string]string{}); strings.Count(got, "-of-8") != 8 {
		t.Errorf("the files are %s", got)
	}
	for _, folder := range []string{"one", "deep/users", "three"} {
		if got := listing(t, folder); got != listed {
			t.Errorf("%s lists\n%s\n, want\n%s", folder, got, listed)
		}
		put(t, "mtlsguard.yaml", strings.Replace(read(t, "mtlsguard.yaml"), "users: users.yaml", "users: "+folder, 1))
		if got := answers(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", folder, got, want)
		}
		put(t, "mtlsguard.yaml", strings.Replace(read(t, "mtlsguard.yaml"), "users: "+folder, "users: users.yaml", 1))
	}
}

// Each command writes the file that the change concerns and no other.
func TestUsersCommandsChangeOneFileOfAFolder(t *testing.T) {
	dir := t.TempDir()
	if err := writeSite(dir); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	succeed(t, "users split --files 64 users.yaml users")
	put(t, "mtlsguard.yaml", strings.Replace(read(t, "mtlsguard.yaml"), "users: users.yaml", "users: users", 1))
	before := folderFiles(t, "users")
	step := func(line, wantFiles, wantText string) {
		t.Helper()
		out := succeed(t, line)
		after := folderFiles(t, "users")
		if got := changedFiles(before, after); got != wantFiles || !strings.Contains(out, wantText) {
			t.Errorf("%s changes %q, want %q, and says:\n%s", line, got, wantFiles, out)
		}
		before = after
	}
	const stranger, orders = "users-54-of-64.jsonl", "users-27-of-64.jsonl"
	step("users add --config mtlsguard.yaml --cert stranger.pem --user stranger --dry-run", "", "would be added to users/"+stranger+":1")
	step("users add --config mtlsguard.yaml --cert stranger.pem --user stranger", stranger, "added to users/"+stranger+":1")
	step("users disable --config mtlsguard.yaml orders-api", orders, "disabled at users/"+orders+":1")
	step("users disable --config mtlsguard.yaml orders-api", "", "nothing to change")
	step("users enable --users users --id orders", orders, "enabled at users/"+orders+":1")
	step("users remove --config mtlsguard.yaml stranger", "-"+stranger, "removed from users/"+stranger+":1")
	step("users add --users users --cert orders.pem --user orders-batch --id orders2 --by subject --issuer client-ca.pem --dry-run", "", `"issuer": "../client-ca.pem"`)

	// Other files of the folder stay, and new mappings come beside them.
	for name, text := range before {
		if err := os.Remove(filepath.Join("users", name)); err != nil {
			t.Fatal(err)
		}
		put(t, "mine.jsonl", text)
	}
	if err := os.Rename("mine.jsonl", "users/mine.jsonl"); err != nil {
		t.Fatal(err)
	}
	before = folderFiles(t, "users")
	step("users add --users users --cert stranger.pem --user stranger", "added.jsonl", "added to users/added.jsonl:1")
	step("users add --users users --cert bob.pem --user bob", "added.jsonl", "added to users/added.jsonl:2")

	for line, want := range map[string]string{
		"users remove --users users nobody stranger":                              `there is no mapping with this id: "nobody"`,
		"users remove --users users bob stranger " + onlyID(before["mine.jsonl"]): "no mapping would be left",
		"users split users.yaml users":                                            "the folder is not empty",
		"users split users other":                                                 "this is a folder already",
		"users split --files 3 users.yaml other":                                  "--files: 3 is not a power of two",
	} {
		code, _, errs := runLine(t, line)
		if code != exitInvalid || !strings.Contains(errs, want) {
			t.Errorf("%s: status %d: %s, want %q", line, code, errs, want)
		}
	}
	if got := changedFiles(before, folderFiles(t, "users")); got != "" {
		t.Errorf("commands that fail change %s, want none", got)
	}
	if code, _, _ := runLine(t, "users list --users other"); code != exitInvalid {
		t.Error("a split that fails leaves its folder behind")
	}
}

// onlyID returns the id of the only mapping in a file.
func onlyID(text string) string {
	_, rest, _ := strings.Cut(text, `"id": "`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}
