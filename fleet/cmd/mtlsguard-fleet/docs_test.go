package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// documented are the sections of docs/fleet.md whose commands follow one another in one folder.
var documented = []string{"In five minutes", "Change something", "See what changed, and go back", "Signatures", "A new node"}

// The commands of docs/fleet.md print what it says, except times, ages and names of users.
func TestTheDocumentedCommandsWork(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "curl", "curl")
	var blocks []string
	for _, section := range documented {
		blocks = append(blocks, storetest.Section(t, section, "console")...)
	}
	storetest.Console{Blocks: blocks, Normal: normal}.Run(t)
}

var (
	times  = regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	ages   = regexp.MustCompile(`\d+s ago`)
	blanks = regexp.MustCompile(` +`)
)

// normal replaces what is different each time.
func normal(text string) string {
	text = strings.ReplaceAll(text, " "+author()+" ", " anna ")
	text = strings.ReplaceAll(text, "by "+author()+":", "by anna:")
	return blanks.ReplaceAllString(ages.ReplaceAllString(times.ReplaceAllString(text, "TIME"), "AGE"), " ")
}
