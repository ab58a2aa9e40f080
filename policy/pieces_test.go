package policy_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/policy"
)

// long returns a policy of a few hundred KiB, which is read in several pieces.
func long(line func(i int) string) string {
	var text strings.Builder
	for i := 1; text.Len() < 700<<10; i++ {
		text.WriteString(line(i))
	}
	return text.String()
}

func TestLargeFilesAreReadInPieces(t *testing.T) {
	t.Parallel()
	text := long(func(i int) string {
		switch i % 4 {
		case 0:
			return fmt.Sprintf("g, user:u%d, group:g%d\r\n", i, i)
		case 1:
			return "# a comment\n"
		}
		return fmt.Sprintf("p, user:u%d, *, GET, /%d, allow\n", i, i)
	})
	for name, r := range map[string]io.Reader{
		"whole":  strings.NewReader(text),
		"halves": iotest.HalfReader(strings.NewReader(text)),
		"late":   iotest.DataErrReader(strings.NewReader(text)), // the end comes with the last bytes
		"cut":    strings.NewReader(strings.TrimSuffix(text, "\n")),
	} {
		e, err := policy.Load("p.csv", r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rules, members := e.Rules()
		if n := strings.Count(text, "\np"); len(rules) != n || len(members) != strings.Count(text, "\ng") {
			t.Errorf("%s: %d rules of %d, %d members", name, len(rules), n, len(members))
		}
		for i, r := range rules {
			if want := i/2*4 + 2 + i%2; r.Line != want || r.Path != fmt.Sprintf("/%d", want) || r.Subject != fmt.Sprintf("user:u%d", want) {
				t.Fatalf("%s: rule %d is %+v", name, i, r)
			}
		}
		for i, m := range members {
			if want := i*4 + 4; m.Line != want || m.Group != fmt.Sprintf("group:g%d", want) {
				t.Fatalf("%s: membership %d is %+v", name, i, m)
			}
		}
	}
}

// Errors in all pieces are in the order of their lines, and bounded together.
func TestErrorsOfAllPiecesAreInOrder(t *testing.T) {
	t.Parallel()
	wrong := 0
	text := long(func(i int) string {
		if i%200 == 7 {
			wrong++
			return "x\n"
		}
		return "p, user:a, *, GET, /a, allow\n"
	})
	_, err := policy.Load("p.csv", strings.NewReader(text))
	all := configerror.All(err)
	if len(all) != 101 || !strings.Contains(all[100].What, fmt.Sprint("not shown: ", wrong-100)) {
		t.Fatalf("%d errors, the last %v", len(all), all[len(all)-1])
	}
	for i, e := range all[:100] {
		if e.Line != i*200+7 {
			t.Errorf("error %d is in line %d, want %d", i, e.Line, i*200+7)
		}
	}
}

// A line that is longer than a piece is an error, takes no memory, and hides no later line.
func TestLineLongerThanAPieceIsRejected(t *testing.T) {
	for _, end := range []string{"\np, user:a, *, GET, /a, x\n", "\r\np, user:a, *, GET, /a, x", ""} {
		text := io.MultiReader(strings.NewReader("# first\n"), io.LimitReader(blanks{}, 4<<20), strings.NewReader(end))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := policy.Load("p.csv", text)
		runtime.ReadMemStats(&after)
		want := []string{"p.csv:2"}
		if end != "" {
			want = append(want, "p.csv:3")
		}
		var got []string
		for _, e := range configerror.All(err) {
			got = append(got, e.Position())
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: errors at %v, want %v: %v", end, got, want, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%q: %d bytes allocated", end, n)
		}
	}
}

type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// Half a policy is another policy: an error of the reader is never taken for its end.
func TestReaderThatBreaksOffIsAnError(t *testing.T) {
	t.Parallel()
	text := long(func(int) string { return "p, user:a, *, GET, /a, allow\n" })
	for _, broken := range []error{errBroken, io.ErrUnexpectedEOF} {
		for _, n := range []int{0, 10, 300 << 10} {
			e, err := policy.Load("p.csv", io.MultiReader(strings.NewReader(text[:n]), iotest.ErrReader(broken)))
			if e != nil || !errors.Is(err, broken) {
				t.Errorf("%d bytes, then %v: %v", n, broken, err)
			}
		}
	}
	if _, err := policy.Load("p.csv", silent{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader without bytes: %v", err)
	}
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

// A policy holds no pointers: the garbage collector has as little work with many rules as with few.
func TestPolicyIsFewObjects(t *testing.T) {
	text := write(large(5000))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	e := mustLoad(t, text)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := int64(after.HeapObjects) - int64(before.HeapObjects); n > 1000 {
		t.Errorf("5,000 rules and memberships are %d objects", n)
	}
	runtime.KeepAlive(e)
}
