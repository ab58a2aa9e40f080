package duration

import (
	"testing"
	"time"
)

func TestDaysAndWeeksAreDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"60d": 1440 * time.Hour, "2w": 336 * time.Hour, "1w2d": 216 * time.Hour, "1d12h": 36 * time.Hour, "0d": 0, "-1d": -day,
		"720h": 720 * time.Hour, "1h30m": 90 * time.Minute, "0": 0, "250ms": 250 * time.Millisecond, "-5s": -5 * time.Second, "+5s": 5 * time.Second,
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "60", "60D", "1.5d", "1d2w", "1d-2h", "1d+2h", "--1d", "-+1d", "99999999d", "1 d", "d1", "1dd", "w"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// Parse agrees with time.ParseDuration where that has an answer.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"60d", "1w2d3h", "-1d", "1h", "1dh"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse(text)
		if want, werr := time.ParseDuration(text); werr == nil && (err != nil || got != want) {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	})
}
