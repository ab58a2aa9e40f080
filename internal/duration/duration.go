// Package duration reads durations with days and weeks: 60d, 2w, 1d12h. A day is 24 hours.
package duration

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Hint is the hint of an error about a text that is not a duration.
const Hint = "use a number with a unit: 250ms, 5s, 2m, 1h, 30d"

// ErrSyntax is the error of Parse.
var ErrSyntax = errors.New("not a duration")

const day = 24 * time.Hour

// Parse reads what time.ParseDuration reads, after whole weeks and days.
func Parse(text string) (time.Duration, error) {
	rest, sign := text, time.Duration(1)
	if strings.HasPrefix(rest, "-") {
		rest, sign = rest[1:], -1
	}
	var sum time.Duration
	found := false
	for _, unit := range []struct {
		name string
		is   time.Duration
	}{{"w", 7 * day}, {"d", day}} {
		digits, after, ok := strings.Cut(rest, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil {
			return 0, ErrSyntax
		}
		sum, rest, found = sum+time.Duration(n)*unit.is, after, true
	}
	if rest == "" && found {
		return sign * sum, nil
	}
	v, err := time.ParseDuration(rest)
	if err != nil || found && v < 0 || sum+v < v || strings.ContainsAny(rest[:1], "+-") && rest != text {
		return 0, ErrSyntax
	}
	return sign * (sum + v), nil
}
