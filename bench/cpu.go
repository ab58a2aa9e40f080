//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// processorTime returns the processor time that a server and its backend have used so far,
// in steps of 10 ms. Other programs on the machine do not add to it.
func (s *server) processorTime() (time.Duration, error) {
	mine := map[int]bool{}
	for _, p := range s.procs {
		mine[p.Process.Pid] = true
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	ticks := 0
	for _, file := range stats {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // the process has ended
		}
		pid, parent, used, err := parseStat(string(data))
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		if mine[pid] || mine[parent] {
			ticks += used
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// parseStat parses /proc/PID/stat (proc(5)). The name in parentheses may contain any
// character.
func parseStat(line string) (pid, parent, ticks int, err error) {
	i := strings.LastIndexByte(line, ')')
	if i < 0 {
		return 0, 0, 0, fmt.Errorf("%q is not a line of /proc/PID/stat", line)
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(line[:strings.IndexByte(line, '(')])); err != nil {
		return 0, 0, 0, err
	}
	f := strings.Fields(line[i+1:])
	var numbers [3]int
	for n, field := range []int{1, 11, 12} { // ppid, utime, stime
		if numbers[n], err = strconv.Atoi(f[field]); err != nil {
			return 0, 0, 0, err
		}
	}
	return pid, numbers[0], numbers[1] + numbers[2], nil
}
