package systemd

import (
	"fmt"
	"strings"
	"testing"
)

func TestNamesOfTheEnvironment(t *testing.T) {
	t.Parallel()
	const pid = 4711
	for _, row := range []struct{ fds, pid, names, want string }{
		{"1", "4711", "internal", "[internal]"},
		{"2", "4711", "internal:public", "[internal public]"},
		{"2", "4711", "", "[unknown unknown]"},
		{"3", "4711", "internal", "[internal unknown unknown]"},
		{"1", "4711", "internal:public", "[internal]"},
		{"2", "4711", "internal:", "[internal ]"},
		{"", "", "internal", "no socket is passed to this program"},
		{"1", "4712", "internal", `LISTEN_PID is "4712", and this process is 4711`},
		{"1", "", "internal", `LISTEN_PID is "", and`},
		{"1", "04711", "", `LISTEN_PID is "04711", and`},
		{"0", "4711", "", `LISTEN_FDS is "0", and`},
		{"-1", "4711", "", `LISTEN_FDS is "-1", and`},
		{"1025", "4711", "", "from 1 to 1024"},
		{"many", "4711", "", `LISTEN_FDS is "many"`},
		{"", "4711", "", `LISTEN_FDS is ""`},
	} {
		env := map[string]string{"LISTEN_FDS": row.fds, "LISTEN_PID": row.pid, "LISTEN_FDNAMES": row.names}
		got, why := names(func(name string) string { return env[name] }, pid)
		if text := fmt.Sprint(got); why == "" && text != row.want || why != "" && (!strings.Contains(why, row.want) || got != nil) {
			t.Errorf("%+v: got %v, %q; want %v", row, got, why, row.want)
		}
	}
}

func TestFindsASocketByName(t *testing.T) {
	t.Parallel()
	all := []string{"internal", "public", "twice", "twice"}
	if i, err := find(all, "public"); i != 1 || err != nil {
		t.Errorf("got %d, %v", i, err)
	}
	for name, want := range map[string]string{
		"extern": `no socket is named "extern", the names are "internal", "public", "twice": set FileDescriptorName=extern`,
		"twice":  `more than one socket is named "twice"`,
	} {
		if _, err := find(all, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
}

func TestNamesOfSockets(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"internal": true, "orders.socket": true, "8443": true, "a/b": true, strings.Repeat("x", 255): true,
		"": false, "a:b": false, "a b": false, "ä": false, "a\n": false, strings.Repeat("x", 256): false,
	} {
		if IsName(text) != want {
			t.Errorf("%q: got %t, want %t", text, !want, want)
		}
	}
}
