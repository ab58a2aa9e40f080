//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"
)

const mebi = 1 << 20

// watching measures the processor time and the memory of a server whose files do not change.
func watching(o options, d time.Duration) error {
	return withLive(o, func(l *live) error {
		time.Sleep(15 * time.Second) // the files are young before
		before, err := l.processorTime()
		if err != nil {
			return err
		}
		first, _, err := l.memory()
		if err != nil {
			return err
		}
		time.Sleep(d)
		after, err := l.processorTime()
		if err != nil {
			return err
		}
		last, _, err := l.memory()
		if err != nil {
			return err
		}
		heap, err := l.heap()
		if err != nil {
			return err
		}
		fmt.Printf("\nwatching for %v while nothing changes: %.2f %% of a processor; resident %.0f MiB before, %.0f MiB after; heap %.0f MiB\n",
			d, 100*(after-before).Seconds()/d.Seconds(), first/mebi, last/mebi, heap/mebi)
		return nil
	})
}

// reloads changes one mapping at a time, and measures memory.
func reloads(o options, n int) error {
	return withLive(o, func(l *live) error {
		fmt.Print("\n| reloads | resident MiB | peak MiB | heap MiB |\n|---|---|---|---|\n")
		for i := range n + 1 {
			if i > 0 {
				if err := l.change(l.changedUsers()); err != nil {
					return err
				}
				if _, _, err := l.reload(); err != nil {
					return err
				}
			}
			if i > 2 && i < n && i%(max(n/5, 1)) != 0 {
				continue
			}
			time.Sleep(time.Second) // the server returns memory in the background
			resident, peak, err := l.memory()
			if err != nil {
				return err
			}
			heap, err := l.heap()
			if err != nil {
				return err
			}
			fmt.Printf("| %d | %.0f | %.0f | %.0f |\n", i, resident/mebi, peak/mebi, heap/mebi)
		}
		return nil
	})
}

// reloadFigures are those of the reloads after changes of one file, one for each round.
type reloadFigures struct {
	watched               []float64 // processor time until the watcher has loaded the change, without requests
	took, processor, peak []float64 // of Reload, which reads all files, without requests
	quiet, busy, ratio    []float64 // 99 % of requests without a reload and during one
}

// reloading measures reloads after a change of each file, without requests, and then how long
// requests take without a reload and during one.
func reloading(o options) error {
	return withLive(o, func(l *live) error {
		fmt.Printf("\nmedians of %d reloads, the largest peak; requests at %d a second\n\n| changed | processor time, watched | of Reload | its time | peak MiB | 99 %% of requests, quiet | during Reload | ÷ quiet (least–most) |\n|---|---|---|---|---|---|---|---|\n", o.rounds, requestsPerSecond)
		for _, name := range []string{l.changedUsers(), "policy.csv", "ca.crl"} {
			var f reloadFigures
			for range o.rounds {
				for _, measure := range []func(*live, string) error{f.addWatched, f.addReload, f.addRequests} {
					if err := measure(l, name); err != nil {
						return err
					}
				}
			}
			fmt.Printf("| %s | %.2f s | %.2f s | %.2f s | %.0f | %.2f ms | %.2f ms | %.1f (%.1f–%.1f) |\n", name, median(f.watched), median(f.processor), median(f.took), slices.Max(f.peak),
				1e3*median(f.quiet), 1e3*median(f.busy), median(f.ratio), slices.Min(f.ratio), slices.Max(f.ratio))
		}
		return nil
	})
}

// addWatched measures the processor time from a change until the watcher has loaded it.
func (f *reloadFigures) addWatched(l *live, name string) error {
	before, err := l.processorTime()
	if err != nil {
		return err
	}
	if err := l.change(name); err != nil {
		return err
	}
	if err := l.expect("reloaded"); err != nil {
		return err
	}
	after, err := l.processorTime()
	f.watched = append(f.watched, (after - before).Seconds())
	return err
}

// addReload measures a reload without requests.
func (f *reloadFigures) addReload(l *live, name string) error {
	if err := l.change(name); err != nil {
		return err
	}
	if _, _, err := l.memory(); err != nil { // begins a new peak
		return err
	}
	took, processor, err := l.reload()
	if err != nil {
		return err
	}
	_, peak, err := l.memory()
	f.took, f.processor, f.peak = append(f.took, took.Seconds()), append(f.processor, processor.Seconds()), append(f.peak, peak/mebi)
	return err
}

// addRequests measures requests without a reload, and during one.
func (f *reloadFigures) addRequests(l *live, name string) error {
	calm := make(chan struct{})
	time.AfterFunc(l.o.each, func() { close(calm) })
	quiet, err := l.w.paced(l.addr, calm)
	if err != nil {
		return err
	}
	if err := l.change(name); err != nil {
		return err
	}
	done := make(chan struct{})
	var reloadErr error
	go func() {
		defer close(done)
		_, _, reloadErr = l.reload()
	}()
	busy, err := l.w.paced(l.addr, done)
	f.quiet, f.busy, f.ratio = append(f.quiet, quiet), append(f.busy, busy), append(f.ratio, busy/quiet)
	return firstError(err, reloadErr)
}

func firstError(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

// withLive runs a measurement with a live server, and prints its start.
func withLive(o options, measure func(*live) error) error {
	w, err := newWorld()
	if err != nil {
		return err
	}
	defer w.close()
	start := time.Now()
	l, err := w.startLive(o)
	if l != nil {
		defer l.stop()
	}
	if err != nil {
		return err
	}
	files, size := 0, int64(0)
	err = filepath.WalkDir(l.dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			files, size = files+1, size+info.Size()
		}
		return err
	})
	if err != nil {
		return err
	}
	processor, err := l.processorTime()
	if err != nil {
		return err
	}
	resident, peak, err := l.memory()
	if err != nil {
		return err
	}
	fmt.Printf("%d rules, %d mappings, a CRL of %d entries, %d ports; %d files of %.0f MB\nstart: %v with the files written, %.2f s of processor time, resident %.0f MiB, peak %.0f MiB\n",
		o.rules, o.mappings, o.revoked, o.ports, files, float64(size)/1e6, time.Since(start).Round(10*time.Millisecond), processor.Seconds(), resident/mebi, peak/mebi)
	return measure(l)
}
