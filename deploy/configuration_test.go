package deploy

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// The configuration in the ConfigMap loads from where the manifests mount it, with the keys of
// the secret.
func TestConfigurationOfTheManifestsLoads(t *testing.T) {
	t.Parallel()
	m, dir := readManifests(t), t.TempDir()
	server := testpki.NewCA("Server CA").Server()
	volumes := map[string]map[string]string{
		"config":  m.config.Data,
		"server":  {"tls.crt": string(server.CertPEM()), "tls.key": string(server.KeyPEM())},
		"clients": {"ca.crt": string(testpki.NewCA("Client CA").CertPEM())},
	}
	for _, mount := range m.container().VolumeMounts {
		folder := filepath.Join(dir, mount.MountPath)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, content := range volumes[mount.Name] {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if args := m.container().Args; args[0] != "-config" {
		t.Fatalf("args: %v", args)
	}
	if _, err := mtlsguard.Open(filepath.Join(dir, m.container().Args[1]), mtlsguard.Options{}); err != nil {
		t.Error(err)
	}
}
