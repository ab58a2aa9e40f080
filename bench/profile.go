//go:build unix

package main

import (
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
)

// profile writes a CPU profile of this process until it is interrupted.
func profile(name, dir string) error {
	f, err := os.Create(filepath.Join(dir, name+".pprof"))
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	go func() {
		<-interrupted
		pprof.StopCPUProfile()
		f.Close()
		os.Exit(0)
	}()
	return nil
}
