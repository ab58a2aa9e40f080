//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// serveLive serves the configuration in a folder, which the process that measures changes. It
// reloads at SIGHUP, and writes a line for each reload and, at SIGUSR2, for its heap.
func serveLive(dir string) error {
	lines := slog.NewJSONHandler(eventLines{}, &slog.HandlerOptions{Level: slog.LevelInfo})
	server, err := mtlsguard.Open(filepath.Join(dir, "live", "mtlsguard.yaml"), mtlsguard.Options{
		Log:   slog.New(onlyReloads{lines}),
		Ready: func() { fmt.Println("ready") },
	})
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR2)
	go func() {
		for s := range signals {
			if s == syscall.SIGHUP {
				_ = server.Reload() // the log has the error
				continue
			}
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			fmt.Println("heap", m.HeapAlloc)
		}
	}()
	return server.Serve(context.Background(), hello)
}

// onlyReloads drops decisions before they cost anything.
type onlyReloads struct{ slog.Handler }

func (h onlyReloads) Handle(ctx context.Context, r slog.Record) error {
	reload, failed := false, false
	r.Attrs(func(a slog.Attr) bool {
		reload = reload || a.Key == "event" && a.Value.String() == "reload"
		failed = failed || a.Key == "outcome" && a.Value.String() != "ok"
		return true
	})
	switch {
	case reload && failed:
		fmt.Println("failed")
		return h.Handler.Handle(ctx, r)
	case reload:
		fmt.Println("reloaded")
	}
	return nil
}

// eventLines writes to the standard error of the server.
type eventLines struct{}

func (eventLines) Write(p []byte) (int, error) { return os.Stderr.Write(p) }

// live is a server on all processors, unless -alone is set, and its configuration, which changes.
type live struct {
	*server
	w       *world
	o       options
	ca      *testpki.Pair
	dir     string
	lines   chan string
	changes int64
}

// startLive writes a configuration and starts a server for it, with some number of ports that
// share all files.
func (w *world) startLive(o options) (*live, error) {
	l := &live{server: &server{name: "live"}, w: w, o: o, ca: w.clientCA, dir: filepath.Join(w.dir, "live"), lines: make(chan string, 64)}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, err
	}
	var config strings.Builder
	fmt.Fprintf(&config, "users: %s\npolicy: policy.csv\nreload: 5s\nports:\n", l.usersName())
	for i := range o.ports {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		addr := free.Addr().String()
		free.Close()
		name := "internal"
		if i == 0 {
			l.addr = addr
		} else {
			name = fmt.Sprint("port", i)
		}
		fmt.Fprintf(&config, `  - name: %s
    listen: %s
    client_cert: require
    certificate: {cert: ../server.pem, key: ../server-key.pem}
    trust: {anchors: [../client-ca.pem], crls: [ca.crl]}
    limits: {connections_per_ip: 1000}
`, name, addr)
	}
	leaf, err := readLeaf(w.dir)
	if err != nil {
		return nil, err
	}
	for name, data := range map[string]string{"mtlsguard.yaml": config.String(), "policy.csv": policyFile(o.rules, o.groups), "ca.crl": l.crl()} {
		if err := os.WriteFile(filepath.Join(l.dir, name), []byte(data), 0o600); err != nil {
			return nil, err
		}
	}
	if err := l.writeUsers(usersFile(o.mappings, leaf)); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	place := onAllCores
	if o.alone {
		place = onServerCore
	}
	p := place(self, "-serve", "live", "-dir", w.dir, "-profiles", o.profiles)
	p.Env = append(os.Environ(), fmt.Sprint("GOGC=", o.gogc))
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.Start(); err != nil {
		return nil, err
	}
	l.procs = []*exec.Cmd{p}
	go l.readLines(out)
	return l, l.expect("ready")
}

func (l *live) readLines(out io.Reader) {
	defer close(l.lines)
	for s := bufio.NewScanner(out); s.Scan(); {
		l.lines <- s.Text()
	}
}

// expect waits for a line of the server.
func (l *live) expect(want string) error {
	_, err := l.next(want)
	return err
}

func (l *live) next(want string) (string, error) {
	select {
	case line, ok := <-l.lines:
		rest, found := strings.CutPrefix(line, want)
		switch {
		case !ok:
			return "", errors.New("the server has ended")
		case !found:
			return "", fmt.Errorf("the server reports %q, want %q", line, want)
		}
		return strings.TrimSpace(rest), nil
	case <-time.After(5 * time.Minute):
		return "", fmt.Errorf("the server does not report %q", want)
	}
}

// reload makes the server reload, and waits until it has.
func (l *live) reload() (took, processor time.Duration, err error) {
	before, err := l.processorTime()
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if err := l.procs[0].Process.Signal(syscall.SIGHUP); err != nil {
		return 0, 0, err
	}
	if err := l.expect("reloaded"); err != nil {
		return 0, 0, err
	}
	took = time.Since(start)
	after, err := l.processorTime()
	return took, after - before, err
}

// heap returns the bytes that are alive after a collection.
func (l *live) heap() (float64, error) {
	if err := l.procs[0].Process.Signal(syscall.SIGUSR2); err != nil {
		return 0, err
	}
	line, err := l.next("heap ")
	if err != nil {
		return 0, err
	}
	var n float64
	_, err = fmt.Sscan(line, &n)
	return n, err
}

// memory returns the resident memory of the server, and its peak since the last call.
func (l *live) memory() (resident, peak float64, err error) {
	dir := fmt.Sprintf("/proc/%d/", l.procs[0].Process.Pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return 0, 0, err
	}
	if resident, err = statusBytes(string(status), "VmRSS:"); err != nil {
		return 0, 0, err
	}
	if peak, err = statusBytes(string(status), "VmHWM:"); err != nil {
		return 0, 0, err
	}
	return resident, peak, os.WriteFile(dir+"clear_refs", []byte("5"), 0) // proc(5): begins a new peak
}
