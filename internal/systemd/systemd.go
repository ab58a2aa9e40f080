// Package systemd takes over the listening sockets that systemd, or another parent process, passes
// to a program (sd_listen_fds(3)).
package systemd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Prefix begins the address of a socket that is passed; its name follows.
const Prefix = "systemd:"

// IsName reports whether a text can be the name of a socket (FileDescriptorName= in
// systemd.socket(5)).
func IsName(text string) bool {
	return text != "" && len(text) <= 255 && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' || c == ':' })
}

const (
	firstFD  = 3
	maxFDs   = 1024
	nameless = "unknown" // as systemd calls a socket without a name
)

// variables are those that describe the sockets.
var variables = []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}

// names returns the names of the sockets, from file descriptor firstFD on. why explains why there
// is none.
func names(getenv func(string) string, pid int) (out []string, why string) {
	count, owner := getenv("LISTEN_FDS"), getenv("LISTEN_PID")
	if count == "" && owner == "" {
		return nil, "no socket is passed to this program: start it by a .socket unit, or by systemd-socket-activate"
	}
	if owner != strconv.Itoa(pid) {
		return nil, fmt.Sprintf("LISTEN_PID is %.20q, and this process is %d: the sockets are passed to another process. A script that starts the program has to end in exec", owner, pid)
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > maxFDs {
		return nil, fmt.Sprintf("LISTEN_FDS is %.20q, and not a number of sockets from 1 to %d", count, maxFDs)
	}
	if text := getenv("LISTEN_FDNAMES"); text != "" {
		out = strings.Split(text, ":")
	}
	for len(out) < n {
		out = append(out, nameless)
	}
	return out[:n], ""
}

// find returns the index of the socket of a name.
func find(all []string, name string) (int, error) {
	i := slices.Index(all, name)
	switch {
	case i < 0:
		var known []string
		for _, other := range all {
			known = append(known, fmt.Sprintf("%.300q", other))
		}
		return 0, fmt.Errorf("no socket is named %q, the names are %s: set FileDescriptorName=%s in the .socket unit, or change listen", name, strings.Join(slices.Compact(known), ", "), name)
	case slices.Contains(all[i+1:], name):
		return 0, fmt.Errorf("more than one socket is named %q, and a port listens on one: a .socket unit for each address, with a FileDescriptorName= of its own", name)
	}
	return i, nil
}
