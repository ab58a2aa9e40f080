//go:build unix

package audit

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
)

// BenchmarkDecisionLine measures the line of an allowed request, which names its
// certificate: through JSONLog; through slog; and formatted and written by the caller, one
// Write for each line. Many goroutines log at once. ns/op is what the callers wait;
// processor-ns/op is the processor time of all goroutines for a line, with that of the kernel.
//
//	go test ./internal/audit -run '^$' -bench DecisionLine -cpu 1,2 -benchmem
func BenchmarkDecisionLine(b *testing.B) {
	req := &http.Request{RemoteAddr: "192.0.2.1:50123"}
	o := middleware.Outcome{
		Allowed: true, Method: "GET", Path: "/orders/7", Port: "internal", Rule: policy.Position{File: "policy.csv", Line: 7}, Generation: 1,
		Verified: verifiedLeaf(b), Identity: &identity.Identity{User: "alice", MappingID: "alice", Via: identity.TLS}, Duration: 400,
	}
	for _, sink := range []string{"discard", "file"} {
		for _, way := range []string{"JSONLog", "slog", "write by the caller"} {
			b.Run(sink+"/"+way, func(b *testing.B) {
				w := io.Writer(discard{})
				if sink == "file" {
					w = newLogFile(b)
				}
				log := slog.New(slog.NewJSONHandler(w, nil))
				if way != "slog" {
					log = JSONLog(w, nil)
				}
				e := New(log, new(atomic.Uint64))
				one := func() { e.LogDecision(req, &o, nil) }
				if way == "write by the caller" {
					one = func() {
						line := freeLines.Get().(*jsonLine)
						line.begin(time.Now(), slog.LevelInfo, "decision")
						e.addDecision(line, req, &o, nil, 0)
						line.number("generation", o.Generation)
						line.end()
						e.lines.out.Write(line.text)
						line.free()
					}
				}
				b.ReportAllocs()
				b.SetParallelism(16)
				before := processorTime(b)
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						one()
						runtime.Gosched() // as after a request
					}
				})
				e.Flush()
				b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "processor-ns/op")
				if lost := e.Dropped(); lost > 0 {
					b.Errorf("%d lines were lost", lost)
				}
			})
		}
	}
}

// processorTime returns the processor time of this process.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// logFile is a file that begins again before it fills the disk.
type logFile struct {
	*os.File
	size int
}

func newLogFile(b *testing.B) *logFile {
	f, err := os.Create(filepath.Join(b.TempDir(), "audit.log"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return &logFile{File: f}
}

func (f *logFile) Write(p []byte) (int, error) {
	if f.size += len(p); f.size > 64<<20 {
		f.size = 0
		if err := f.Truncate(0); err != nil {
			return 0, err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
	}
	return f.File.Write(p)
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
