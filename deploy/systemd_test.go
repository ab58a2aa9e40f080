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

// systemd knows every key of the unit, and rates its exposure at 2.0 of 10 or better.
func TestUnitIsKnownToSystemd(t *testing.T) {
	t.Parallel()
	program := testkit.Program(t, "systemd-analyze", "systemd")
	const name = "orders.service"
	data, err := os.ReadFile("systemd/" + name)
	if err != nil {
		t.Fatal(err)
	}
	const binary = "/usr/local/bin/orders"
	if bytes.Count(data, []byte("ExecStart="+binary+" ")) != 1 {
		t.Fatalf("ExecStart is not %s", binary)
	}
	unit := filepath.Join(t.TempDir(), name)
	data = bytes.ReplaceAll(data, []byte("ExecStart="+binary), []byte("ExecStart=/bin/true")) // verify looks for it
	if err := os.WriteFile(unit, data, 0o600); err != nil {
		t.Fatal(err)
	}
	// An unknown key is a line, and no status.
	if out, err := exec.Command(program, "verify", "--man=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	if out, err := exec.Command(program, "security", "--offline=true", "--threshold=20", unit).CombinedOutput(); err != nil {
		t.Errorf("security: %v\n%s", err, out[max(0, len(out)-200):])
	}
	for _, line := range []string{"DynamicUser=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "Restart=on-failure"} {
		if !strings.Contains(string(data), "\n"+line+"\n") {
			t.Errorf("no %s", line)
		}
	}
}
