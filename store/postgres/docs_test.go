package postgres_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/store/postgres"
)

// The commands of docs/fleet.md print what it says.
func TestDocumentedCommandsWork(t *testing.T) {
	t.Parallel()
	for _, p := range [][2]string{{"curl", "curl"}, {"openssl", "openssl"}, {"psql", "postgresql-client"}} {
		testkit.Program(t, p[0], p[1])
	}
	c := postgres.OwnCluster(t)
	storetest.Console{
		Blocks:  storetest.Section(t, "PostgreSQL", "console"),
		Replace: []string{"sleep 1 ", "sleep 3 "},
		Env:     []string{"PGHOST=127.0.0.1", fmt.Sprint("PGPORT=", c.Port()), "PGUSER=postgres", "PGSSLMODE=disable"},
	}.Run(t)
}

// Each line of Go on the page is one of an example.
func TestDocumentedCodeIsThatOfTheExamples(t *testing.T) {
	t.Parallel()
	examples, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	all := storetest.Section(t, "PostgreSQL", "go")
	if len(all) != 2 {
		t.Errorf("there are %d blocks of Go, want 2", len(all))
	}
	for _, block := range all {
		for line := range strings.Lines(block) {
			if !strings.Contains(string(examples), "\t"+line) {
				t.Errorf("no example has the line %s", line)
			}
		}
	}
}
