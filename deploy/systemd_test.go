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
	for _, row := range []struct{ folder, name, command string }{
		{"systemd", "orders", "-config /etc/orders/mtlsguard.yaml"},
		{"serve", "mtlsguard", "serve --config /etc/mtlsguard/mtlsguard.yaml"},
	} {
		t.Run(row.name, func(t *testing.T) { checkUnits(t, program, row.folder, row.name, row.command) })
	}
}

// checkUnits checks NAME.service and NAME.socket of a folder.
func checkUnits(t *testing.T, program, folder, name, command string) {
	binary, serviceName, socketName := "/usr/local/bin/"+name, name+".service", name+".socket"
	dir := t.TempDir()
	units := map[string]string{}
	for _, name := range []string{serviceName, socketName} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		units[name] = string(data)
		data = bytes.ReplaceAll(data, []byte("ExecStart="+binary), []byte("ExecStart=/bin/true")) // verify looks for it
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Count(units[serviceName], "ExecStart="+binary+" "+command+" ") != 1 {
		t.Fatalf("ExecStart is not %s %s", binary, command)
	}
	service, socket := filepath.Join(dir, serviceName), filepath.Join(dir, socketName)
	// An unknown key is a line, and no status.
	if out, err := exec.Command(program, "verify", "--man=no", service, socket).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	if out, err := exec.Command(program, "security", "--offline=true", "--threshold=20", service).CombinedOutput(); err != nil {
		t.Errorf("security: %v\n%s", err, out[max(0, len(out)-200):])
	}
	for _, row := range []struct{ unit, line string }{
		{serviceName, "DynamicUser=yes"}, {serviceName, "ProtectSystem=strict"}, {serviceName, "CapabilityBoundingSet="},
		{serviceName, "Restart=on-failure"}, {serviceName, "Requires=" + socketName},
		{socketName, "FileDescriptorName=internal"}, {socketName, "ListenStream=8443"},
	} {
		if !strings.Contains(units[row.unit], "\n"+row.line+"\n") {
			t.Errorf("%s: no %s", row.unit, row.line)
		}
	}
	if strings.Contains(units[socketName], "Accept=") {
		t.Error("Accept= would pass connections, and not the socket")
	}
}
