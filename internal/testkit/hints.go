package testkit

import (
	"fmt"
	"strings"
)

// CheckHints returns an error unless the standard error of a command has only lines that begin with error: or
// hint:, and a hint for each error.
func CheckHints(text string) error {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, "error: ") && i+1 < len(lines) && strings.HasPrefix(lines[i+1], "hint: "):
		case strings.HasPrefix(line, "hint: ") && i > 0 && strings.HasPrefix(lines[i-1], "error: "):
		default:
			return fmt.Errorf("line %d breaks the rules of output: %q in\n%s", i+1, line, text)
		}
	}
	return nil
}
