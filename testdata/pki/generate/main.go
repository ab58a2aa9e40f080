// Command generate makes the files of testdata/pki from pki.yaml.
//
//	go generate ./testdata/pki
//
// It keeps existing keys, derives serial numbers from names, and makes deterministic signatures
// (RFC 6979). So a second run changes nothing, and git diff shows the effect of a change of
// pki.yaml.
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
		// Git does not store the mode, and WriteFile does not change the mode of an existing file.
		if err := os.Chmod(path, mode); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// find returns the folder of pki.yaml: the current folder (go generate) or testdata/pki below
// it (go run in the root of the repository).
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

// modeOf returns the mode of a file. Keys are readable by their owner only: they protect
// nothing, but some clients reject other modes.
func modeOf(name string) fs.FileMode {
	if strings.HasSuffix(name, "-key.pem") {
		return 0o600
	}
	return 0o644
}
