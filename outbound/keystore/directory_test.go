package keystore_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound/keystore"
)

func TestFilesOfADirectoryAreAliases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		writeFile(t, dir, "partner-a.pem", pemOf(alice))
		writeFile(t, dir, "partner-b.p12", pkcs12Of(t, bob, pkcs12.Modern))
		writeFile(t, dir, "partner.c@x.jks", jksOf(t, password, map[string]*testpki.Pair{"key": bob}))
		writeFile(t, dir, "partner-d.jks", pkcs12Of(t, alice, pkcs12.Modern)) // as Java writes it since version 9
		writeFile(t, dir, ".hidden", []byte("garbage"))
		keys, err := keystore.NewDirectory(keystore.DirectoryConfig{
			Path: dir,
			Password: func(file string) (string, error) {
				if filepath.Ext(file) == ".pem" || strings.Contains(file, "/") {
					t.Errorf("the password function was called for %q", file)
				}
				return password, nil
			},
			Origins: func(alias string) []string { return []string{"https://" + alias[:1] + ".example"} },
		})
		if err != nil {
			t.Fatal(err)
		}
		wantLeaf(t, keys, "partner-a", alice)
		wantLeaf(t, keys, "partner-b", bob)
		wantLeaf(t, keys, "partner.c@x", bob)
		wantLeaf(t, keys, "partner-d", alice)
		// Files are added and removed. A reload applies all changes or none.
		writeFile(t, dir, "e.pem", pemOf(bob))
		os.Remove(filepath.Join(dir, "partner-a.pem"))
		writeFile(t, dir, "-.pem", pemOf(bob))
		if err := keys.Reload(); len(configerror.All(err)) != 1 || slices.Contains(keys.Aliases(), "e") {
			t.Errorf("got %v, aliases %q; want one error, and no alias e", err, keys.Aliases())
		}
		os.Remove(filepath.Join(dir, "-.pem"))
		if err := keys.Reload(); err != nil || !slices.Equal(keys.Aliases(), []string{"e", "partner-b", "partner-d", "partner.c@x"}) {
			t.Errorf("got %v, aliases %q; want e and the partners", err, keys.Aliases())
		}
	})
}

// In a mounted volume, names are links through a hidden folder that is replaced as a whole.
func TestReplacedMountedVolumeIsRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		for i, p := range []*testpki.Pair{alice, sub.Leaf("alice")} {
			data := "..data" + strconv.Itoa(i)
			if err := os.Mkdir(filepath.Join(dir, data), 0o700); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, data), "a.pem", pemOf(p))
		}
		point := func(to string) {
			t.Helper()
			next := filepath.Join(dir, "..next")
			if err := os.Symlink(to, next); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
				t.Fatal(err)
			}
		}
		point("..data0")
		if err := os.Symlink(filepath.Join("..data", "a.pem"), filepath.Join(dir, "a.pem")); err != nil {
			t.Fatal(err)
		}
		keys, err := keystore.NewDirectory(keystore.DirectoryConfig{Path: dir})
		if err != nil {
			t.Fatal(err)
		}
		wantLeaf(t, keys, "a", alice)
		point("..data1")
		if err := keys.Reload(); err != nil {
			t.Fatal(err)
		}
		if c, err := keys.Credential("a"); err != nil || c.Leaf().Equal(alice.Cert) {
			t.Errorf("got %v, %v; want another certificate of a", c, err)
		}
	})
}

func TestBadDirectoriesAreRejected(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		make func(dir string)
		want int
	}{
		{"empty", func(string) {}, 1},
		{"hidden files only", func(dir string) { writeFile(t, dir, ".a.pem", pemOf(alice)) }, 1},
		{"names", func(dir string) {
			for _, name := range []string{"README", "a.txt", "+x.pem", "-a.pem", "a b.pem", ".pem"} {
				writeFile(t, dir, name, pemOf(alice))
			}
		}, 5},
		{"a folder", func(dir string) { os.Mkdir(filepath.Join(dir, "a.pem"), 0o700) }, 1},
		{"a link to nowhere", func(dir string) { os.Symlink("nowhere", filepath.Join(dir, "a.pem")) }, 1},
		{"a link to a folder", func(dir string) { os.Symlink(".", filepath.Join(dir, "a.pem")) }, 1},
		{"gone", func(dir string) { os.Remove(dir) }, 1},
		{"two bad files", func(dir string) { writeFile(t, dir, "a.pem", []byte("x")); writeFile(t, dir, "b.p12", []byte("x")) }, 2},
	} {
		dir := t.TempDir()
		row.make(dir)
		keys, err := keystore.NewDirectory(keystore.DirectoryConfig{Path: dir})
		if all := configerror.All(err); keys != nil || len(all) != row.want {
			t.Errorf("%s: got %v, want %d errors", row.name, err, row.want)
		}
	}
	crowd := t.TempDir()
	for i := range 1001 {
		if err := os.WriteFile(filepath.Join(crowd, strconv.Itoa(i)+".pem"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := keystore.NewDirectory(keystore.DirectoryConfig{Path: crowd}); len(configerror.All(err)) != 1 {
		t.Error(err)
	}
}

// A removed file may soon be written again: its alias stays for a second and a half. Covers
// J15.
func TestRemovedFileKeepsItsAliasForAMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		writeFile(t, dir, "a.pem", pemOf(alice))
		writeFile(t, dir, "b.pem", pemOf(bob))
		keys, err := keystore.NewDirectory(keystore.DirectoryConfig{Path: dir})
		if err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(dir, "a.pem"))
		start := time.Now()
		if err := keys.Reload(); err != nil || !slices.Equal(keys.Aliases(), []string{"b"}) {
			t.Errorf("got %v, aliases %q; want b alone", err, keys.Aliases())
		}
		if d := time.Since(start); d < 1500*time.Millisecond {
			t.Errorf("the alias was removed after %v", d)
		}
	})
}
