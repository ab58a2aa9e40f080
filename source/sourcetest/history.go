package sourcetest

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/mtlsguard/mtlsguard/source"
)

func checkHistory(s *suite) {
	const n = 12
	var all []*source.Generation
	var parent *source.Generation
	for i := range n {
		parent = s.commit(s.next(parent, "anna", strconv.Itoa(i+1)))
		all = append(all, parent)
	}
	s.checkChain(n)
	for _, x := range []struct {
		before uint64
		n      int
		want   []uint64
	}{
		{0, 3, []uint64{12, 11, 10}}, {10, 3, []uint64{9, 8, 7}}, {3, 5, []uint64{2, 1}}, {1, 5, nil}, {99, 1, []uint64{12}}, {0, 0, nil},
	} {
		manifests, err := s.store.History(s.ctx, x.before, x.n)
		var got []uint64
		for _, m := range manifests {
			got = append(got, m.Number)
		}
		if err != nil || !slices.Equal(got, x.want) {
			s.Errorf("history before %d, %d of them: %v, %v, want %v", x.before, x.n, got, err, x.want)
		}
	}
	for _, want := range all {
		got, err := s.store.At(s.ctx, want.Manifest.Number)
		if err != nil {
			s.Fatal(err)
		}
		if !got.Same(want) || s.content(got, "users.yaml") != strconv.FormatUint(want.Manifest.Number, 10) {
			s.Errorf("at %d: another generation", want.Manifest.Number)
		}
	}
	for _, number := range []uint64{0, n + 1, 1 << 63} {
		if _, err := s.store.At(s.ctx, number); !errors.Is(err, source.ErrNone) {
			s.Errorf("at %d: %v, want ErrNone", number, err)
		}
	}
}

// checkChain checks that the store has the generations 1 to n, each the child of the one before.
func (s *suite) checkChain(n uint64) {
	s.Helper()
	var before *source.Generation
	for number := uint64(1); number <= n; number++ {
		g, err := s.store.At(s.ctx, number)
		if err != nil {
			s.Fatalf("at %d: %v", number, err)
		}
		if g.Manifest.Number != number || !g.Follows(before) {
			s.Fatalf("generation %d does not follow the one before", number)
		}
		before = g
	}
	s.newestIs(before)
}

func checkReports(s *suite) {
	at := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	err := s.store.PutReport(s.ctx, source.Report{Node: "b", Number: 1, At: at})
	if errors.Is(err, source.ErrUnsupported) {
		if _, err := s.store.Reports(s.ctx); !errors.Is(err, source.ErrUnsupported) {
			s.Errorf("reports: %v, want ErrUnsupported as for PutReport", err)
		}
		return
	}
	if err != nil {
		s.Fatal(err)
	}
	last := source.Report{Node: "b", Number: 2, Digest: source.DigestOf([]byte("2")), Since: at, At: at.Add(time.Second), Refused: 3, Errors: []string{"fleet/policy.csv:1: \"x\"\n"}}
	for _, r := range []source.Report{last, {Node: "a/../ü", Number: 1, At: at}} {
		if err := s.store.PutReport(s.ctx, r); err != nil {
			s.Fatal(err)
		}
	}
	got, err := s.store.Reports(s.ctx)
	if err != nil || len(got) != 2 || got[0].Node != "a/../ü" || got[1].Node != "b" {
		s.Fatalf("reports: %v, %v, want those of a/../ü and b", got, err)
	}
	b := got[1]
	if b.Number != 2 || b.Digest != last.Digest || !b.Since.Equal(last.Since) || !b.At.Equal(last.At) || b.Refused != 3 || !slices.Equal(b.Errors, last.Errors) {
		s.Errorf("the report of b is %+v, want %+v", b, last)
	}
}
