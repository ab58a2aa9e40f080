package certmap_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/usersload"
	"github.com/mtlsguard/mtlsguard/trust"
)

// segments are files of JSON lines by name, and the settings that they are loaded with.
type segments struct {
	lines   map[string][]string
	ports   []string
	issuers map[string]trust.Digest
	piece   int      // the size of a piece; 0 is the default
	read    []string // names of the files that the last load has read
}

func (s *segments) load(previous *certmap.Table) (*certmap.Table, error) {
	s.read = nil
	return usersload.Load(previous, s.files(), usersload.Settings{Ports: s.ports, Workers: 2, PieceSize: s.piece, ReadIssuer: func(path string) (trust.Digest, error) {
		key, ok := s.issuers[path]
		if !ok {
			return key, errors.New(path + " is missing")
		}
		return key, nil
	}})
}

func (s *segments) files() (all []usersload.File) {
	for _, name := range slices.Sorted(maps.Keys(s.lines)) {
		all = append(all, s.file(name))
	}
	return all
}

func (s *segments) file(name string) usersload.File {
	data := []byte(strings.Join(s.lines[name], "\n"))
	digest := sha256.Sum256(data)
	return usersload.File{Name: name, Digest: digest, Read: func() ([]byte, [sha256.Size]byte, bool) {
		s.read = append(s.read, name)
		return data, digest, true
	}}
}

// randomLine returns a mapping of few ids, keys and users, so that many repeat and conflict.
func randomLine(r *rand.Rand, ids int) string {
	id, user := r.IntN(ids), fmt.Sprintf("user%d", r.IntN(3))
	more := ""
	if r.IntN(2) == 0 {
		more += fmt.Sprintf(`, "ports": ["p%d"]`, r.IntN(2))
	}
	if r.IntN(6) == 0 {
		more += `, "disabled": true`
	}
	if r.IntN(8) == 0 {
		more += `, "not_after": "2020-01-01"`
	}
	issuer := fmt.Sprintf(`, "issuer": "ca%d.pem"`, r.IntN(2))
	n := r.IntN(12)
	switch r.IntN(6) {
	case 0:
		return fmt.Sprintf(`{"id": "m%d", "user": %q, "spki": "%064x"%s}`, id, user, n+1, more)
	case 1:
		return fmt.Sprintf(`{"id": "m%d", "user": %q, "dns": "h%d.example"%s%s}`, id, user, n, issuer, more)
	case 2:
		return fmt.Sprintf(`{"id": "m%d", "user": "{user}", "uri": "spiffe://a/%d/{user}"%s%s}`, id, n, issuer, more)
	case 3:
		return fmt.Sprintf(`{"id": "m%d", "user": "{user}", "subject": "CN={user},OU=%d"%s%s}`, id, n, issuer, more)
	case 4:
		return fmt.Sprintf(`{"id": "m%d", "user": %q, "subject": "CN=c%d,OU=%d"%s%s}`, id, user, n, n%3, issuer, more)
	}
	return fmt.Sprintf(`{"id": "m%d", "user": %q, "uri": "spiffe://a/%d/c%d"%s%s}`, id, user, n%3, n, issuer, more)
}

// change makes one random change, and returns its name.
func (s *segments) change(r *rand.Rand, ids int) string {
	names := slices.Sorted(maps.Keys(s.lines))
	from, to := names[r.IntN(len(names))], names[r.IntN(len(names))]
	lines := slices.Clone(s.lines[from])
	at := r.IntN(len(lines))
	s.lines[from] = lines
	switch r.IntN(10) {
	case 0, 1:
		s.lines[from] = slices.Insert(lines, at, randomLine(r, ids))
		return "add to " + from
	case 2, 3:
		lines[at] = randomLine(r, ids)
		return "replace in " + from
	case 4, 5:
		if len(lines) > 1 {
			s.lines[from] = slices.Delete(lines, at, at+1)
			return "remove from " + from
		}
	case 6:
		if from != to && len(lines) > 1 {
			s.lines[to] = append(slices.Clone(s.lines[to]), lines[at])
			s.lines[from] = slices.Delete(lines, at, at+1)
			return "move from " + from + " to " + to
		}
	case 7:
		name := fmt.Sprintf("users/%d.jsonl", r.IntN(9))
		if _, ok := s.lines[name]; ok && len(s.lines) > 1 {
			delete(s.lines, name)
			return "delete " + name
		}
		s.lines[name] = []string{randomLine(r, ids), randomLine(r, ids)}
		return "create " + name
	case 8:
		s.issuers[fmt.Sprintf("ca%d.pem", r.IntN(2))] = trust.Digest{byte(1 + r.IntN(4))}
		return "another issuer"
	case 9:
		switch r.IntN(4) {
		case 0:
			s.ports = [][]string{{"p0", "p1"}, {"p1", "p0", "p2"}}[r.IntN(2)]
			return "other ports"
		case 1:
			s.lines[from] = append(lines, `{"id": broken`)
			return "break " + from
		}
		s.lines[from] = slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, "broken") })
		if len(s.lines[from]) == 0 {
			s.lines[from] = []string{randomLine(r, ids)}
		}
		return "mend " + from
	}
	return "nothing"
}

// A table that was made from the one before equals the table of a fresh load, after any
// changes: in its mappings, decisions, explanations, findings and errors. In some rounds the files
// are pieces of one or two lines.
func TestReloadedSegmentsEqualAFreshLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var callers []trust.Verified
	for n := range 12 {
		callers = append(callers, w.leaf(t, subject(fmt.Sprintf("CN=c%d,OU=%d", n, n%3)), san(attr{tag: 0x86, value: fmt.Sprintf("spiffe://a/%d/c%d", n%3, n)}, attr{tag: 0x82, value: fmt.Sprintf("h%d.example", n)})))
	}
	good, bad, reused := 0, 0, 0
	for round := range 8 {
		r := rand.New(rand.NewPCG(7, uint64(round)))
		ids := 60 + r.IntN(60)*5
		s := &segments{lines: map[string][]string{}, piece: []int{0, 1, 150}[round%3], ports: []string{"p0", "p1"}, issuers: map[string]trust.Digest{"ca0.pem": w.key, "ca1.pem": w.otherKey}}
		for i := range 5 {
			s.lines[fmt.Sprintf("users/%d.jsonl", i)] = []string{randomLine(r, ids)}
		}
		var last *certmap.Table
		for step := range 50 {
			what := fmt.Sprintf("round %d, step %d, %s", round, step, s.change(r, ids))
			fresh, wantErr := s.load(nil)
			all := len(s.read)
			got, err := s.load(last)
			if fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("%s:\n%v\n, want\n%v", what, err, wantErr)
			}
			if err != nil {
				bad++
				continue
			}
			good++
			if len(s.read) < all {
				reused++
			}
			equalTables(t, what, got, fresh, callers)
			last = got
		}
	}
	if good < 80 || bad < 80 || reused < good/2 {
		t.Errorf("%d loads without an error, %d with one, and %d that reused a file: that compares too little", good, bad, reused)
	}
}

func equalTables(t *testing.T, what string, got, want *certmap.Table, callers []trust.Verified) {
	t.Helper()
	if a, b := fmt.Sprintf("%+v", got.Mappings()), fmt.Sprintf("%+v", want.Mappings()); a != b {
		t.Fatalf("%s: the mappings are\n%s\n, want\n%s", what, a, b)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if a, b := got.Lint(now, time.Hour), want.Lint(now, time.Hour); !reflect.DeepEqual(a, b) {
		t.Fatalf("%s: the findings are\n%v\n, want\n%v", what, a, b)
	}
	for _, v := range callers {
		for _, port := range []string{"p0", "p1"} {
			a, errA := got.Map(t.Context(), v, port)
			b, errB := want.Map(t.Context(), v, port)
			if a.User != b.User || a.MappingID != b.MappingID || !a.Until.Equal(b.Until) || fmt.Sprint(errA) != fmt.Sprint(errB) {
				t.Fatalf("%s: %+v, %v, want %+v, %v", what, a, errA, b, errB)
			}
			if a, b := got.Explain(v, port), want.Explain(v, port); !reflect.DeepEqual(a, b) {
				t.Fatalf("%s: explained as\n%v\n, want\n%v", what, a, b)
			}
			a1, okA := got.Nearest(v, port)
			b1, okB := want.Nearest(v, port)
			if a1 != b1 || okA != okB {
				t.Fatalf("%s: the nearest is\n%v\n, want\n%v", what, a1, b1)
			}
		}
	}
}
