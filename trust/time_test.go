package trust

import (
	"testing"
	"time"
)

// checkTime compares parseGeneralizedTime with package time.
func checkTime(t *testing.T, text string) {
	t.Helper()
	const layout = "20060102150405Z"
	want, err := time.Parse(layout, text)
	valid := err == nil && want.Format(layout) == text
	at, ok := parseGeneralizedTime([]byte(text))
	if ok != valid || ok && !at.Equal(want) {
		t.Errorf("%q: %v, %v; package time: %v, %v", text, at, ok, want, err)
	}
}

var times = []string{
	"", "2", "20", "20300101000000Z", "20300101000000", "203001010000Z", "20300101000000+0100", "20300101000000.5Z", "20301301000000Z", "20300001000000Z",
	"20300132000000Z", "20300100000000Z", "20300229000000Z", "20320229235959Z", "21000229000000Z", "20000229000000Z", "20300431000000Z", "20300101240000Z",
	"20300101006000Z", "20300101000060Z", "00000101000000Z", "99991231235959Z", "2030010100000 Z", "203001010000-1Z", "20300101000000z", "x0300101000000Z",
}

func TestTimesAreThoseOfPackageTime(t *testing.T) {
	t.Parallel()
	for _, text := range times {
		checkTime(t, text)
	}
	for day := time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC); day.Year() < 2033; day = day.Add(23*time.Hour + 17*time.Second) {
		checkTime(t, day.Format("20060102150405Z"))
	}
}

func FuzzTime(f *testing.F) {
	for _, text := range times {
		f.Add(text)
	}
	f.Fuzz(checkTime)
}
