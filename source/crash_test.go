package source_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/source"
)

// The variables make this test binary a process that takes a generation into a folder, and is
// killed at one of its steps.
const (
	crashIn = "MTLSGUARD_TEST_CRASH_IN"
	crashAt = "MTLSGUARD_TEST_CRASH_AT"
	crashOf = "MTLSGUARD_TEST_CRASH_OF"
)

func TestMain(m *testing.M) {
	folder := os.Getenv(crashIn)
	if folder == "" {
		os.Exit(m.Run())
	}
	last, err := strconv.Atoi(os.Getenv(crashAt))
	if err != nil {
		panic(err)
	}
	steps := 0
	source.OnStep(func(step string) {
		if steps++; steps == last {
			fmt.Println(step)
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Kill()
			}
			panic(fmt.Sprintf("still alive: %v", err))
		}
	})
	if err := crashWrites[os.Getenv(crashOf)](folder); err != nil {
		panic(err)
	}
}

// crashWrites are what the process does.
var crashWrites = map[string]func(folder string) error{
	"keep": func(folder string) error { return keepAgain(folder, crashGeneration(2)) },
	"store": func(folder string) error {
		return source.Folder(folder).Commit(background, crashGeneration(2))
	},
	"lock": func(folder string) error {
		if _, err := source.OpenKeep(folder).Lock(); err != nil {
			return err
		}
		fmt.Println("locked")
		select {}
	},
}

// crashGeneration returns the same generation in each process.
func crashGeneration(number uint64) *source.Generation {
	var parent *source.Generation
	if number > 1 {
		parent = crashGeneration(number - 1)
	}
	return nextAt(parent, "users.yaml", fmt.Sprint("users ", number), "policy.csv", fmt.Sprint("policy ", number), "crls/a.crl", "the same")
}

func keepAgain(folder string, g *source.Generation) error {
	k := source.OpenKeep(folder)
	kept, err := k.Add(background, g)
	if err != nil {
		return err
	}
	return k.SetCurrent(kept)
}

// A process that is killed at any step leaves the old or the new generation as a whole, and the next one can
// write again.
func TestKilledWriterLeavesAWholeGeneration(t *testing.T) {
	t.Parallel()
	newest := map[string]func(folder string) (*source.Generation, error){
		"keep": func(folder string) (*source.Generation, error) {
			all, err := source.OpenKeep(folder).Generations()
			if err != nil || len(all) == 0 {
				return nil, fmt.Errorf("%d generations, %w", len(all), err)
			}
			return all[0], nil
		},
		"store": func(folder string) (*source.Generation, error) { return source.Folder(folder).Load(background, nil) },
	}
	prepare := map[string]func(folder string) error{
		"keep":  func(folder string) error { return keepAgain(folder, crashGeneration(1)) },
		"store": func(folder string) error { return source.Folder(folder).Commit(background, crashGeneration(1)) },
	}
	for what, least := range map[string]int{"keep": 20, "store": 14} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			seen := map[uint64]int{}
			steps := 0
			for step := 1; ; step++ {
				folder := t.TempDir()
				if err := prepare[what](folder); err != nil {
					t.Fatal(err)
				}
				c := exec.Command(os.Args[0])
				c.Env = append(os.Environ(), crashIn+"="+folder, crashAt+"="+strconv.Itoa(step), crashOf+"="+what)
				out, err := c.CombinedOutput()
				name := strings.TrimSpace(string(out))
				if err == nil {
					break // it had no more steps
				}
				if strings.Contains(name, "panic") {
					t.Fatalf("step %d: %s", step, out)
				}
				steps++
				g, err := newest[what](folder)
				if err != nil {
					t.Fatalf("killed at %q: %v", name, err)
				}
				number := g.Manifest.Number
				seen[number]++
				for file, want := range map[string]string{"users.yaml": fmt.Sprint("users ", number), "policy.csv": fmt.Sprint("policy ", number), "crls/a.crl": "the same"} {
					if data, err := fs.ReadFile(g.FS(), file); err != nil || string(data) != want {
						t.Errorf("killed at %q: generation %d has %q, %v", name, number, data, err)
					}
				}
				if what == "keep" {
					for _, file := range []string{"users.yaml", "policy.csv", "crls/a.crl"} { // for people
						if _, err := os.Stat(filepath.Join(folder, "current", file)); err != nil {
							t.Errorf("killed at %q: %v", name, err)
						}
					}
				}
				if number == 1 {
					if err := crashWrites[what](folder); err != nil {
						t.Errorf("killed at %q, then again: %v", name, err)
					}
				}
				if g, err := newest[what](folder); err != nil || g.Manifest.Number != 2 {
					t.Errorf("killed at %q, then again: %v", name, err)
				}
			}
			t.Logf("%d steps; generation 1 was left %d times, and 2 %d times", steps, seen[1], seen[2])
			if steps < least || seen[1] == 0 || seen[2] == 0 {
				t.Errorf("%d steps, %v", steps, seen)
			}
		})
	}
}
