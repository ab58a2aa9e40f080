// Command generate makes the files of testdata/pki from pki.yaml.
//
//	go generate ./testdata/pki
//
// Keys that are there are kept, serial numbers come from names, and signatures
// are deterministic (RFC 6979): a second run changes nothing, so that whatever
// git shows after a run is what a change of pki.yaml meant.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	changed, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	fmt.Println(changed, "files changed")
}

func run() (changed int, err error) {
	dir, err := find()
	if err != nil {
		return 0, err
	}
	files, err := build(dir)
	if err != nil {
		return 0, err
	}
	for name, data := range files {
		path := filepath.Join(dir, name)
		mode := modeOf(name)
		if old, err := os.ReadFile(path); err != nil || !bytes.Equal(old, data) {
			if err := os.WriteFile(path, data, mode); err != nil {
				return changed, err
			}
			changed++
		}
		// Git does not keep the mode, and WriteFile not that of a file that was there.
		if err := os.Chmod(path, mode); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// find looks in the two places that the command is run from: the folder itself
// (go generate) and the root of the repository (go run).
func find() (string, error) {
	for _, dir := range []string{".", filepath.Join("testdata", "pki")} {
		if _, err := os.Stat(filepath.Join(dir, specFile)); err == nil {
			return dir, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", errors.New("no " + specFile + " here; run it from the root of the repository")
}

// modeOf keeps keys to their owner. They protect nothing, but an example that
// leaves keys open is a bad one, and some clients refuse such a key.
func modeOf(name string) fs.FileMode {
	if strings.HasSuffix(name, "-key.pem") {
		return 0o600
	}
	return 0o644
}
