//go:build unix

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// memory measures the resident memory of each Go server after its start, and for each idle
// connection after one request. It prints a table in Markdown.
func memory(o options, idle int) error {
	w, err := newWorld()
	if err != nil {
		return err
	}
	defer w.close()
	fmt.Printf("%d rules, %d mappings; resident MiB after the start, and KiB for each of %d idle connections\n\n| | resident | an idle connection | ÷ %s |\n|---|---|---|---|\n",
		o.rules, o.mappings, idle, o.only[0])
	var base float64
	for _, name := range o.only {
		start, each, err := w.measureMemory(name, o, idle)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if base == 0 {
			base = each
		}
		fmt.Printf("| %s | %.1f | %.1f | %.2f |\n", name, start/(1<<20), each/(1<<10), each/base)
	}
	return nil
}

// measureMemory returns the resident memory after the start and for each connection, in
// bytes.
func (w *world) measureMemory(name string, o options, idle int) (start, each float64, err error) {
	s, err := w.start(name, o)
	if err != nil {
		return 0, 0, err
	}
	defer s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	open := func(n int) ([]*tls.Conn, error) {
		var all []*tls.Conn
		for range n {
			c, err := w.dial(ctx, s.addr, "http/1.1", nil)
			if err != nil {
				return all, err
			}
			all = append(all, c)
			if err := exchange(c, bufio.NewReader(c)); err != nil {
				return all, err
			}
		}
		return all, nil
	}
	pid := s.procs[0].Process.Pid
	if start, err = resident(pid); err != nil {
		return 0, 0, err
	}
	warm, err := open(50) // allocates what is allocated once
	if err != nil {
		return 0, 0, err
	}
	before, err := resident(pid)
	if err != nil {
		return 0, 0, err
	}
	all, err := open(idle)
	if err != nil {
		return 0, 0, err
	}
	after, err := resident(pid)
	for _, c := range append(all, warm...) {
		c.NetConn().Close()
	}
	return start, (after - before) / float64(idle), err
}

// resident makes a Go server return unused memory to the system, and returns its resident
// memory in bytes.
func resident(pid int) (float64, error) {
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		return 0, err
	}
	time.Sleep(2 * time.Second)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return statusBytes(string(status), "VmRSS:")
}

// statusBytes returns a size in /proc/PID/status (proc(5)).
func statusBytes(status, field string) (float64, error) {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, field); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			return kib * 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/PID/status has no %s", field)
}

// freeMemoryOnSignal returns unused memory to the system at each SIGUSR1.
func freeMemoryOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for range signals {
			debug.FreeOSMemory()
		}
	}()
}
