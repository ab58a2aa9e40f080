package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// systemd knows every key of the units, and rates the exposure of the service at 2.0 of 10 or
// better. The service takes over the socket.
func TestUnitsAreKnownToSystemd(t *testing.T) {
	t.Parallel()
	program := testkit.Program(t, "systemd-analyze", "systemd")
	const binary = "/usr/local/bin/orders"
	dir := t.TempDir()
	units := map[string]string{}
	for _, name := range []string{"orders.service", "orders.socket"} {
		data, err := os.ReadFile("systemd/" + name)
		if err != nil {
			t.Fatal(err)
		}
		units[name] = string(data)
		data = bytes.ReplaceAll(data, []byte("ExecStart="+binary), []byte("ExecStart=/bin/true")) // verify looks for it
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Count(units["orders.service"], "ExecStart="+binary+" ") != 1 {
		t.Fatalf("ExecStart is not %s", binary)
	}
	service, socket := filepath.Join(dir, "orders.service"), filepath.Join(dir, "orders.socket")
	// An unknown key is a line, and no status.
	if out, err := exec.Command(program, "verify", "--man=no", service, socket).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	if out, err := exec.Command(program, "security", "--offline=true", "--threshold=20", service).CombinedOutput(); err != nil {
		t.Errorf("security: %v\n%s", err, out[max(0, len(out)-200):])
	}
	for _, row := range []struct{ unit, line string }{
		{"orders.service", "DynamicUser=yes"}, {"orders.service", "ProtectSystem=strict"}, {"orders.service", "CapabilityBoundingSet="},
		{"orders.service", "Restart=on-failure"}, {"orders.service", "Requires=orders.socket"},
		{"orders.socket", "FileDescriptorName=internal"}, {"orders.socket", "ListenStream=8443"},
	} {
		if !strings.Contains(units[row.unit], "\n"+row.line+"\n") {
			t.Errorf("%s: no %s", row.unit, row.line)
		}
	}
	if strings.Contains(units["orders.socket"], "Accept=") {
		t.Error("Accept= would pass connections, and not the socket")
	}
}
