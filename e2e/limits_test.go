package e2e

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Unauthenticated clients cannot fill the disk. The counters are exact, and the log lines and
// the counts of suppressed lines add up to them.
// Covers L8.
func TestLogIsSampledInAFloodAndCountersStayExact(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sub(config, "limits: {drain: 1s}", "limits: {drain: 1s, connections_per_ip: 3, handshake: 5m}")
	l := s.start(mtlsguard.Options{})
	const refused, unmapped, anonymous = 120, 400, 250
	start := time.Now()
	var floods sync.WaitGroup
	untrusted := s.other.Leaf("alice")
	floods.Go(func() {
		for range refused {
			get(s.client(untrusted), l.url("internal", "/whoami"))
		}
	})
	floods.Go(func() { // two of the three connections, for as long as it takes
		a, b := s.client(nil), s.client(s.ca.Leaf("stranger"))
		for range anonymous {
			if got := get(a, l.url("public", "/whoami")); got != "200 Default" {
				t.Errorf("no certificate: %s", got)
			}
		}
		for range anonymous {
			if got := get(b, l.url("public", "/whoami")); got != "403 unmapped" {
				t.Errorf("unmapped certificate: %s, want 403 unmapped", got)
			}
		}
		held, err := net.Dial("tcp", portAddr(l, "public"))
		if err != nil {
			t.Error(err)
			return
		}
		defer held.Close()
		testkit.Eventually(t, "three connections", func() bool { return status(l, "public").Connections == 3 })
		for range unmapped {
			if c, err := net.Dial("tcp", portAddr(l, "public")); err == nil {
				c.Close()
			}
		}
	})
	floods.Wait()
	defer func() {
		if t.Failed() {
			t.Logf("internal %+v\npublic %+v", status(l, "internal"), status(l, "public"))
		}
	}()
	testkit.Eventually(t, "the last handshakes are counted", func() bool {
		p := status(l, "public")
		return p.Handshakes[reason.Limit]+p.Failed >= unmapped && status(l, "internal").Handshakes[reason.UnknownAuthority] >= refused
	})
	seconds := int(time.Since(start)/time.Second) + 2
	l.end()
	for _, row := range []struct {
		port, event, reason string
		counted, want       uint64
	}{
		{"internal", "handshake", "unknown-authority", status(l, "internal").Handshakes[reason.UnknownAuthority], refused},
		{"public", "handshake", "limit", status(l, "public").Handshakes[reason.Limit], status(l, "public").Handshakes[reason.Limit]},
		{"public", "decision", "unmapped", status(l, "public").Refused[reason.Unmapped], anonymous},
		{"public", "decision", "", status(l, "public").Allowed, anonymous},
	} {
		lines, left := 0, 0
		for _, line := range l.log.find("event", row.event, "port", row.port) {
			if why, _ := line["reason"].(string); why != row.reason || line["level"] == "DEBUG" || line["outcome"] == "failed" {
				continue
			}
			if line["msg"] != "lines were left out" {
				lines++
			}
			suppressed, _ := line["suppressed"].(float64)
			left += int(suppressed)
		}
		t.Logf("%s %s %s: %d lines and %d left out in %d s", row.port, row.event, row.reason, lines, left, seconds)
		if row.counted != row.want || lines+left != int(row.want) || lines > 100*seconds {
			t.Errorf("%s %s %s: counted %d of %d; %d lines and %d suppressed in %d s", row.port, row.event, row.reason, row.counted, row.want, lines, left, seconds)
		}
	}
	if left := l.log.find("msg", "lines were left out"); len(left) == 0 && seconds < 4 {
		t.Error("no line was suppressed")
	}
}

// The number of counters in Status does not grow with the number of callers.
// Covers H10.
func TestCountersDoNotGrowWithTheCallers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	series := func() (out []string) {
		for _, p := range l.server.Status().Ports {
			for _, r := range slices.Sorted(maps.Keys(p.Refused)) {
				out = append(out, p.Name+" request "+string(r))
			}
			for _, r := range slices.Sorted(maps.Keys(p.Handshakes)) {
				out = append(out, p.Name+" handshake "+string(r))
			}
		}
		return out
	}
	call := func(i int) {
		name := fmt.Sprintf("caller-%d", i)
		for _, holder := range []*testpki.Pair{s.ca.Leaf(name), s.other.Leaf(name)} {
			get(s.client(holder), l.url("public", "/"+name))
			get(s.client(holder, testkit.HTTP2), l.url("internal", "/"+name))
		}
	}
	call(0)
	var before []string
	testkit.Eventually(t, "all is counted", func() bool { before = series(); return len(before) == 4 })
	const callers = 6
	for i := range callers {
		call(i + 1)
	}
	testkit.Eventually(t, "all is counted", func() bool { return status(l, "internal").Handshakes[reason.UnknownAuthority] > callers })
	if after := series(); !slices.Equal(after, before) {
		t.Errorf("before %v, after %v", before, after)
	}
	for _, p := range l.server.Status().Ports {
		for r := range p.Refused {
			if !r.Known() {
				t.Errorf("%q is not in the list of reasons", r)
			}
		}
	}
}

func status(l *live, port string) mtlsguard.PortStatus {
	for _, p := range l.server.Status().Ports {
		if p.Name == port {
			return p
		}
	}
	return mtlsguard.PortStatus{}
}

func portAddr(l *live, port string) string {
	for _, p := range l.server.Ports() {
		if p.Name() == port {
			return p.Addr().String()
		}
	}
	return ""
}
