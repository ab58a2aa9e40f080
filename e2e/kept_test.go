package e2e

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
)

// keptFolder is the folder in which keep leaves every configuration of the tests. The tests of
// the JSON Schemas, which are a module of their own, set it and read the files.
var keptFolder = os.Getenv("MTLSGUARD_KEEP_CONFIGURATIONS")

// keep writes a file of the configuration into keptFolder, if that is set.
func (s *site) keep(name, content string) {
	if keptFolder == "" || filepath.Ext(name) != ".yaml" {
		return
	}
	kept := fmt.Sprintf("%x-%s", sha256.Sum256([]byte(content)), filepath.Base(name))
	if err := os.WriteFile(filepath.Join(keptFolder, kept), []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
}
