package fileset

import (
	"bytes"
	"crypto/sha256"
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"testing"
)

// checkSummary compares the summary of parts with the definition of each property.
func checkSummary(t *testing.T, data []byte, part func(rest int) int) {
	t.Helper()
	s := newSummary()
	for rest := data; len(rest) > 0; {
		n := part(len(rest))
		if _, err := s.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	got := s.content()
	want := openEnd
	oneBlock := IsPEM(data) && strings.Count(string(data), "-----BEGIN ") == 1 && bytes.HasSuffix(data, []byte("-----"))
	switch {
	case len(data) == 0:
		want = noEnd
	case data[len(data)-1] == '\n', IsDER(data), oneBlock:
		want = lineEnd
	}
	if got.end != want || got.size != len(data) || got.text == (IsPEM(data) || IsDER(data)) || got.Digest != sha256.Sum256(data) || got.quick != maphash.Bytes(seed, data) {
		t.Errorf("%q: %+v, want the end %d", data, got, want)
	}
}

var summaryTexts = []string{
	"", "a", "a\n", "\x30\x81", "\x30", block, block[:len(block)-1], block + block, block + block[:len(block)-1], "-----BEGIN ", "-----BEGIN -----",
	"-----BEGIN X-----BEGIN -----", strings.Repeat("-", 30) + "BEGIN ", "-----BEGIN A\n-----BEGIN-----BEGIN B-----", strings.Repeat("-----BEGIN ", 3) + "-----",
}

// The summary of a file does not depend on how it was cut into parts.
func TestSummaryOfParts(t *testing.T) {
	t.Parallel()
	for _, text := range summaryTexts {
		for n := 1; n <= len(text)+1; n++ {
			checkSummary(t, []byte(text), func(rest int) int { return min(n, rest) })
		}
	}
}

func FuzzSummary(f *testing.F) {
	for i, text := range summaryTexts {
		f.Add([]byte(text), uint64(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		checkSummary(t, data, func(rest int) int { return 1 + random.IntN(min(rest, 1+random.IntN(40))) })
	})
}
