package admin

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/reason"
)

// minutesKept is how far back refusals are counted: a day.
const minutesKept = 24 * 60

// maxSeries bounds the pairs of port and reason. Both come from the configuration and from a
// closed list: only a program that makes up names gets there.
const maxSeries = 2048

// minutes counts refusals for each minute, port and reason. It is safe for concurrent use.
type minutes struct {
	mu     sync.Mutex
	counts map[seriesKey]*minuteCounts
}

type seriesKey struct {
	port   string
	reason reason.Reason
}

// minuteCounts is the last day of one pair.
type minuteCounts struct {
	last   int64 // the minute counted last, since 1970
	values [minutesKept]uint32
}

// add counts a refusal.
func (m *minutes) add(port string, r reason.Reason, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := seriesKey{port, r}
	c := m.counts[key]
	if c == nil {
		if len(m.counts) == maxSeries {
			return
		}
		if m.counts == nil {
			m.counts = map[seriesKey]*minuteCounts{}
		}
		c = &minuteCounts{}
		m.counts[key] = c
	}
	minute := at.Unix() / 60
	c.advance(minute)
	if c.last-minute < minutesKept { // the clock may have been set back
		c.values[minute%minutesKept]++
	}
}

// advance clears the minutes since the last one: the array goes around.
func (c *minuteCounts) advance(to int64) {
	if c.last == 0 || to-c.last >= minutesKept {
		c.values = [minutesKept]uint32{}
	} else {
		for m := c.last + 1; m <= to; m++ {
			c.values[m%minutesKept] = 0
		}
	}
	c.last = max(c.last, to)
}

// apiSeriesReport holds the refusals of the last minutes, the API's answer to /series.
type apiSeriesReport struct {
	From   string      `json:"from"`
	Step   int         `json:"step"` // seconds
	Series []apiSeries `json:"series"`
}

// apiSeries holds the refusals for one reason on one port. Values[0] begins at From.
type apiSeries struct {
	Reason reason.Reason `json:"reason"`
	Port   string        `json:"port"`
	Values []uint64      `json:"values"`
}

// report returns the last n minutes up to now, in steps of step minutes. Pairs without refusals
// in this time are left out.
func (m *minutes) report(now time.Time, n, step int) apiSeriesReport {
	current := now.Unix() / 60
	first := (current-int64(n))/int64(step)*int64(step) + int64(step) // whole steps: a value does not change its place
	out := apiSeriesReport{From: report.Time(time.Unix(first*60, 0)), Step: step * 60, Series: []apiSeries{}}
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, c := range m.counts {
		s := apiSeries{Reason: key.reason, Port: key.port, Values: make([]uint64, (current-first)/int64(step)+1)}
		total := uint64(0)
		for minute := max(first, c.last-minutesKept+1); minute <= min(current, c.last); minute++ {
			n := uint64(c.values[minute%minutesKept])
			s.Values[(minute-first)/int64(step)] += n
			total += n
		}
		if total > 0 {
			out.Series = append(out.Series, s)
		}
	}
	slices.SortFunc(out.Series, func(a, b apiSeries) int {
		return cmp.Or(strings.Compare(string(a.Reason), string(b.Reason)), strings.Compare(a.Port, b.Port))
	})
	return out
}
