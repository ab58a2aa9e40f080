//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// daemon returns mtlsguard serve, as a gateway in front of net/http. Its decisions are logged, to
// /dev/null: the other gateways of the table log nothing.
func (w *world) daemon(o options) (gateway, error) {
	leaf, err := readLeaf(w.dir)
	if err != nil {
		return gateway{}, err
	}
	for name, data := range map[string]string{"serve-users.jsonl": usersFile(o.mappings, leaf), "serve-policy.csv": policyFile(o.rules, o.groups)} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(data), 0o600); err != nil {
			return gateway{}, err
		}
	}
	return gateway{
		build: func() (string, error) {
			file := filepath.Join(w.dir, "mtlsguard")
			out, err := exec.Command("go", "build", "-o", file, "github.com/mtlsguard/mtlsguard/cmd/mtlsguard").CombinedOutput()
			if err != nil {
				return "", fmt.Errorf("go build: %w\n%s", err, out)
			}
			return file, nil
		},
		args: func(file string) []string { return []string{"serve", "--config", file} },
		config: func(_, addr, backend string) string {
			return fmt.Sprintf(`users: serve-users.jsonl
policy: serve-policy.csv
ports:
  - name: internal
    listen: %s
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}
    limits: {connections_per_ip: 1000}
    upstream: {url: "http://%s"}
`, addr, backend)
		},
	}, nil
}
