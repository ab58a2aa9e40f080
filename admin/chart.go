package admin

import (
	"cmp"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/reason"
)

// Size of a chart, in the units of its viewBox.
const (
	chartWidth  = 720
	chartHeight = 120
	maxColors   = 7 // reasons with a color of their own; the others share one
)

// chart is a series of stacked bars: one for each step, one layer for each reason. Its numbers
// are in a table too.
type chart struct {
	Title         string
	Width, Height int
	Most          uint64 // of one bar
	From, To      string
	Bars          []bar
	Legend        []legend
	Rows          []chartRow // steps with refusals, newest first
	Total         uint64
}

type bar struct {
	X, Y, W, H float64
	Color      int
}

type legend struct {
	Reason reason.Reason
	Color  int
	Total  uint64
}

type chartRow struct {
	At     string
	Values []uint64 // in the order of the legend
}

// newChart returns the chart of a report: the ports are added up.
func newChart(title string, s apiSeriesReport) chart {
	out := chart{Title: title, Width: chartWidth, Height: chartHeight}
	byReason := map[reason.Reason][]uint64{}
	for _, x := range s.Series {
		sum := byReason[x.Reason]
		if sum == nil {
			sum = make([]uint64, len(x.Values))
			byReason[x.Reason] = sum
		}
		for i, n := range x.Values {
			sum[i] += n
		}
	}
	steps := 0
	for r, values := range byReason {
		l := legend{Reason: r}
		for _, n := range values {
			l.Total += n
		}
		out.Total += l.Total
		steps = len(values)
		out.Legend = append(out.Legend, l)
	}
	if steps == 0 {
		return out
	}
	slices.SortFunc(out.Legend, func(a, b legend) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Reason, b.Reason))
	})
	from, _ := time.Parse(time.RFC3339, s.From) // report has written it
	layout := "15:04"
	if time.Duration(steps*s.Step)*time.Second >= 24*time.Hour {
		layout = "2006-01-02 15:04" // both ends of a day have the same hour
	}
	at := func(i int) string { return from.Add(time.Duration(i*s.Step) * time.Second).Format(layout) }
	out.From, out.To = at(0), at(steps)
	sums := make([]uint64, steps)
	for i := range out.Legend {
		out.Legend[i].Color = min(i, maxColors)
		for step, n := range byReason[out.Legend[i].Reason] {
			sums[step] += n
		}
	}
	out.Most = slices.Max(sums)
	width := float64(chartWidth) / float64(steps)
	for step := range steps {
		y := float64(chartHeight)
		for _, l := range out.Legend {
			h := float64(byReason[l.Reason][step]) * chartHeight / float64(out.Most)
			if h > 0 {
				y -= h
				out.Bars = append(out.Bars, bar{X: float64(step) * width, Y: y, W: width * .85, H: h, Color: l.Color})
			}
		}
	}
	for step := steps - 1; step >= 0; step-- {
		if sums[step] == 0 {
			continue
		}
		row := chartRow{At: at(step)}
		for _, l := range out.Legend {
			row.Values = append(row.Values, byReason[l.Reason][step])
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}
