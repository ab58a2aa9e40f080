package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/probe"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
)

// The lines of a probe are those of any other client, with a mark: same level, same fields.
func TestLinesOfProbesAreMarkedAndNothingElseChanges(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} { // JSONLog, and any other handler of slog
		s := newSite(t)
		log := &lines{}
		var mu sync.Mutex
		var seen []bool
		options := mtlsguard.Options{Log: mtlsguard.JSONLog(log, slog.LevelDebug), OnHandshake: func(h ports.Handshake) {
			mu.Lock()
			seen = append(seen, h.Probe)
			mu.Unlock()
		}}
		if plain {
			options.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		l := s.start(options)
		for _, row := range []struct {
			name   string
			holder *testpki.Pair
			path   string
		}{
			{"allowed", s.alice, "/whoami"},
			{"refused", s.alice, "/nothing"},
			{"untrusted", s.other.Leaf("alice"), "/whoami"},
			{"no certificate", nil, "/whoami"},
		} {
			config := probe.Config{Addr: strings.TrimPrefix(l.url("internal", ""), "https://"), Roots: s.serve.Pool(), Method: "GET", Path: row.path}
			if row.holder != nil {
				config.Certificate = new(tls.Certificate)
				*config.Certificate = row.holder.TLS()
			}
			var kinds [2][]string // of a probe, and of another client
			for i, mark := range []bool{true, false} {
				before := len(log.find())
				if mark {
					probe.Run(t.Context(), config)
				} else {
					get(s.client(row.holder), l.url("internal", row.path))
				}
				want := 1
				if row.name == "allowed" || row.name == "refused" {
					want = 2 // the handshake, and the decision
				}
				testkit.Eventually(t, row.name, func() bool { return len(ended(log.find()[before:])) >= want })
				for _, fields := range ended(log.find()[before:]) {
					if got, there := fields["probe"]; there != mark || there && got != true {
						t.Errorf("%s, probe %t: %v", row.name, mark, fields)
					}
					kind := maps.Clone(fields)
					for _, k := range []string{"time", "remote", "duration", "reference", "probe", "error"} {
						delete(kind, k)
					}
					text, _ := json.Marshal(kind)
					kinds[i] = append(kinds[i], string(text))
				}
			}
			if a, b := strings.Join(kinds[0], "\n"), strings.Join(kinds[1], "\n"); a != b {
				t.Errorf("%s: a probe is logged as\n%s\nand another client as\n%s", row.name, a, b)
			}
		}
		mu.Lock()
		if !bytes.Contains(marks(seen), []byte("1010")) {
			t.Errorf("OnHandshake: %s", marks(seen))
		}
		mu.Unlock()
	}
}

// ended returns the lines about handshakes and decisions.
func ended(all []map[string]any) (out []map[string]any) {
	for _, fields := range all {
		if fields["event"] == "handshake" || fields["event"] == "decision" {
			out = append(out, fields)
		}
	}
	return out
}

func marks(seen []bool) (out []byte) {
	for _, s := range seen {
		out = append(out, map[bool]byte{true: '1', false: '0'}[s])
	}
	return out
}
