package config

import (
	"fmt"
	"testing"
	"time"
)

func TestRateIsParsed(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text     string
		requests int
		interval time.Duration
	}{
		{"100/s", 100, time.Second}, {"10/m", 10, time.Minute}, {"1/h", 1, time.Hour}, {"1000000/s", 1_000_000, time.Second},
		{"", 0, 0}, {"100", 0, 0}, {"100/", 0, 0}, {"/s", 0, 0}, {"0/s", 0, 0}, {"010/s", 0, 0}, {"-1/s", 0, 0}, {"+1/s", 0, 0}, {"1.5/s", 0, 0},
		{"100/d", 0, 0}, {"100/sec", 0, 0}, {"100 /s", 0, 0}, {"1/s/s", 0, 0}, {"99999999999999999999/s", 0, 0}, {"4294967296/h", 0, 0}, {"١/s", 0, 0},
	} {
		requests, interval, ok := parseRate(row.text)
		if ok != (row.requests > 0) || ok && (requests != row.requests || interval != row.interval) {
			t.Errorf("%q: %d in %s, %t", row.text, requests, interval, ok)
		}
	}
}

func FuzzRate(f *testing.F) {
	for _, seed := range []string{"100/s", "10/m", "0/h", "1/x", "/s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		requests, interval, ok := parseRate(text)
		if !ok {
			return
		}
		unit := map[time.Duration]string{time.Second: "s", time.Minute: "m", time.Hour: "h"}[interval]
		if requests < 1 || fmt.Sprintf("%d/%s", requests, unit) != text {
			t.Errorf("%q: %d in %s", text, requests, interval)
		}
	})
}
