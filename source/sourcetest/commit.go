package sourcetest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/mtlsguard/mtlsguard/source"
)

func checkEmpty(s *suite) {
	s.newestIs(nil)
	if g, err := s.store.At(s.ctx, 1); !errors.Is(err, source.ErrNone) {
		s.Errorf("at 1: %v, %v, want ErrNone", g, err)
	}
	if all, err := s.store.History(s.ctx, 0, 10); err != nil || len(all) != 0 {
		s.Errorf("history: %v, %v, want none", all, err)
	}
}

func checkRoundTrip(s *suite) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		s.Fatal(err)
	}
	contents := map[string]string{"users.yaml": "users: []\n", "crls/a.crl": "same", "crls/b.crl": "same", "empty": "", "binary": "\x00\xff\r\n'\\"}
	want, err := s.nextFiles(nil, "anna", contents).Sign(key)
	if err != nil {
		s.Fatal(err)
	}
	s.commit(want)
	got := s.load()
	if !bytes.Equal(got.Raw, want.Raw) || !got.Same(want) {
		s.Errorf("the manifest or its signatures have changed:\n%s%v, want\n%s%v", got.Raw, got.Signatures, want.Raw, want.Signatures)
	}
	if err := (source.Signers{key.Public().(ed25519.PublicKey)}).Check(got); err != nil {
		s.Error(err)
	}
	for name, content := range contents {
		if got := s.content(got, name); got != content {
			s.Errorf("%s is %q, want %q", name, got, content)
		}
	}
}

func checkRaw(s *suite) {
	g := s.next(nil, "anna", "users: []\n")
	files := g.Manifest.Files
	raw := bytes.ReplaceAll(g.Raw, []byte("\n"), []byte(" \n\t"))
	odd, err := source.New(raw, nil, func(ctx context.Context, _ source.File) (io.ReadCloser, error) { return g.Open(ctx, files[0]) })
	if err != nil {
		s.Fatal(err)
	}
	s.commit(odd)
	if got := s.load(); !bytes.Equal(got.Raw, raw) {
		s.Errorf("the manifest was encoded again: %q, want %q", got.Raw, raw)
	}
}

func checkHave(s *suite) {
	first := s.commit(s.next(nil, "anna", "1"))
	have := s.load()
	if got, err := s.store.Load(s.ctx, have); err != nil || got != have {
		s.Errorf("load: %p, %v, want what the caller has, %p", got, err, have)
	}
	second := s.commit(s.next(first, "anna", "2"))
	if got, err := s.store.Load(s.ctx, have); err != nil || got.Digest() != second.Digest() {
		s.Errorf("load: %v, want generation 2", err)
	}
}

func checkParent(s *suite) {
	first := s.next(nil, "anna", "1")
	second := s.next(first, "anna", "2")
	conflict := func(what string, g *source.Generation) {
		s.Helper()
		if err := s.store.Commit(s.ctx, g); !errors.Is(err, source.ErrConflict) {
			s.Errorf("commit of %s: %v, want ErrConflict", what, err)
		}
	}
	conflict("number 2 into an empty store", second)
	s.newestIs(nil)
	s.commit(first)
	conflict("the same number 1", first)
	conflict("another number 1", s.next(nil, "boris", "1"))
	conflict("a child of another number 1", s.next(s.next(nil, "boris", "1"), "boris", "2"))
	conflict("number 3 after number 1", s.next(second, "anna", "3"))
	s.newestIs(first)
	s.commit(second)
	conflict("the same number 2", second)
	conflict("number 1 again", first)
	s.newestIs(second)
	other, err := source.Next(nil, source.Manifest{Fleet: Fleet + "-other", Author: "anna"}, second.FS())
	if err != nil {
		s.Fatal(err)
	}
	if err := s.store.Commit(s.ctx, other); err == nil {
		s.Error("a generation of another fleet was committed")
	}
	s.newestIs(second)
}

func checkRaces(s *suite) {
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	var parent *source.Generation
	for round := range rounds {
		var editors [2]*source.Generation
		var errs [2]error
		for i, author := range []string{"anna", "boris"} {
			editors[i] = s.next(parent, author, author+strings.Repeat("x", round))
		}
		var running sync.WaitGroup
		for i := range editors {
			running.Go(func() { errs[i] = s.store.Commit(s.ctx, editors[i]) })
		}
		running.Wait()
		winner, loser := 0, 1
		if errs[0] != nil {
			winner, loser = 1, 0
		}
		if errs[winner] != nil || !errors.Is(errs[loser], source.ErrConflict) {
			s.Fatalf("round %d: %v and %v, want one nil and one ErrConflict", round, errs[0], errs[1])
		}
		if got := s.load(); got.Digest() != editors[winner].Digest() {
			s.Fatalf("round %d: the newest is number %d by %s, want that of the winner, %s", round, got.Manifest.Number, got.Manifest.Author, editors[winner].Manifest.Author)
		}
		parent = editors[winner]
	}
	s.checkChain(uint64(rounds))
}

func checkLarge(s *suite) {
	size := 20 << 20
	if testing.Short() {
		size = 2 << 20
	}
	data := make([]byte, size+1) // no whole number of parts
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data) // never fails
	first := s.commit(s.nextFiles(nil, "anna", map[string]string{"large": string(data), "small": "1"}))
	if got := s.content(s.load(), "large"); got != string(data) {
		s.Errorf("the file has changed: %d bytes, want %d", len(got), len(data))
	}
	s.commit(s.nextFiles(first, "anna", map[string]string{"large": string(data), "small": "2"}))
	if got := s.load(); s.content(got, "large") != string(data) || s.content(got, "small") != "2" {
		s.Error("the files of the second generation are wrong")
	}
}

// refuse checks that g, whose files are read with open, is not committed, and that it is
// when its files are right.
func (s *suite) refuse(open source.OpenFunc) {
	s.Helper()
	first := s.commit(s.next(nil, "anna", "1"))
	g := s.next(first, "anna", strings.Repeat("2", 1<<20))
	wrong, err := source.New(g.Raw, g.Signatures, open)
	if err != nil {
		s.Fatal(err)
	}
	if err := s.store.Commit(s.ctx, wrong); err == nil || errors.Is(err, source.ErrConflict) {
		s.Errorf("commit: %v, want the error of the file", err)
	}
	s.newestIs(first)
	s.commit(g)
	if got := s.content(s.load(), "users.yaml"); got != strings.Repeat("2", 1<<20) {
		s.Error("the file holds what was read for another generation")
	}
}

func checkWrongContent(s *suite) {
	s.refuse(func(context.Context, source.File) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(strings.Repeat("2", 1<<20-1) + "3")), nil
	})
}

func checkBrokenFile(s *suite) {
	s.refuse(func(context.Context, source.File) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("2", 1<<19)), iotest.ErrReader(io.ErrUnexpectedEOF))), nil
	})
}

func checkCanceled(s *suite) {
	first := s.commit(s.next(nil, "anna", "1"))
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	second := s.next(first, "anna", "2")
	if err := s.store.Commit(ctx, second); err == nil {
		s.Error("the commit succeeded after its context had ended")
	}
	s.newestIs(first)
	s.commit(second)
	s.newestIs(second)
}
