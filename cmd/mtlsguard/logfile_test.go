package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// repeated is a log of many lines that is never in memory as a whole.
type repeated struct {
	line string
	left int
	rest string
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.left == 0 {
			return 0, io.EOF
		}
		r.left--
		r.rest = r.line
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// A log of 128 MiB is read in bounded memory, lines of any length included.
func TestHugeLogIsReadInBoundedMemory(t *testing.T) {
	const size = 128 << 20
	for _, line := range []string{
		`{"time":"2026-01-31T08:00:00Z","event":"decision","outcome":"allow","port":"internal","user":"alice","method":"GET","path":"/` + strings.Repeat("x", 64<<10) + `"}` + "\n",
		strings.Repeat("x", 32<<20) + "\n",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		found := 0
		last := `{"event":"decision","outcome":"refuse","reference":"00000000000000ff"}` + "\n"
		in := io.MultiReader(&repeated{line: line, left: size / len(line)}, strings.NewReader(last))
		if _, err := readLog(t.Context(), "server.log", in, "00000000000000ff", func(_ []byte, l *logLine) { found = l.number }); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; found != size/len(line)+1 || allocated > 16<<20 {
			t.Errorf("lines of %d bytes: found line %d, allocated %d bytes", len(line), found, allocated)
		}
	}
}

// A filter with a needle selects the same lines as one without, and each line is read once.
func FuzzReadLog(f *testing.F) {
	f.Add([]byte(siteLog), "bob", "")
	f.Add([]byte("ready\n{}\n{\"event\":\"decision\",\"user\":\"b\\u006fb\"}\n{\"user\":7}"), "bob", "0d4b11c6a2f97e35")
	f.Add([]byte("{\"user\":\"bob\"}{\"user\":\"alice\"}\r\n\x00{}"), "", "x")
	f.Fuzz(func(t *testing.T, data []byte, user, reference string) {
		filter := logFilter{User: user, Reference: reference}
		if strings.Contains(string(data), `\u`) {
			return // a program may escape more than a server does, and the needle is for servers' lines
		}
		read := func(needle string) string {
			var out strings.Builder
			number := 0
			_, err := readLog(context.Background(), "server.log", bytes.NewReader(data), needle, func(raw []byte, l *logLine) {
				if l.number <= number || l.number > bytes.Count(data, []byte("\n"))+1 {
					t.Errorf("line %d after %d", l.number, number)
				}
				number = l.number
				if filter.matches(l) {
					fmt.Fprintf(&out, "%d %s\n", l.number, raw)
				}
			})
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			return out.String()
		}
		if with, without := read(filter.needle()), read(""); with != without {
			t.Errorf("with the needle\n%s\nwithout\n%s", with, without)
		}
	})
}
