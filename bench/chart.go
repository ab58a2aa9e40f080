//go:build unix

package main

import (
	"fmt"
	"math"
	"strings"
)

// chart is a line chart over a logarithmic axis.
type chart struct {
	Title  string   `json:"title"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	LogY   bool     `json:"log_y,omitempty"`
	Series []series `json:"series"`
}

type series struct {
	Name   string  `json:"name"`
	Points []point `json:"points"`
}

type point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// The size and the margins of a chart, in pixels.
const (
	width, height            = 720, 400
	left, right, top, bottom = 80, 220, 40, 50
)

var colours = []string{"#1b6ca8", "#c8553d", "#3a7d44", "#7b5ea7"}

// svg returns the chart as SVG.
func (c chart) svg() string {
	minX, maxX, maxY, minY := math.Inf(1), 0.0, 0.0, math.Inf(1)
	for _, s := range c.Series {
		for _, p := range s.Points {
			minX, maxX = min(minX, p.X), max(maxX, p.X)
			minY, maxY = min(minY, p.Y), max(maxY, p.Y)
		}
	}
	if c.LogY {
		minY, maxY = math.Pow(10, math.Floor(math.Log10(minY))), math.Pow(10, math.Ceil(math.Log10(maxY)))
	} else {
		minY, maxY = 0, nice(maxY)
	}
	x := func(v float64) float64 {
		return left + (math.Log10(v)-math.Log10(minX))/(math.Log10(maxX)-math.Log10(minX))*(width-left-right)
	}
	y := func(v float64) float64 {
		part := (v - minY) / (maxY - minY)
		if c.LogY {
			part = (math.Log10(v) - math.Log10(minY)) / (math.Log10(maxY) - math.Log10(minY))
		}
		return height - bottom - part*(height-top-bottom)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%d" y="22" font-size="14">%s</text>`+"\n", left, c.Title)
	for _, v := range ticks(minY, maxY, c.LogY) {
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#dddddd"/>`+"\n", left, y(v), width-right, y(v))
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left-6, y(v)+4, short(v))
	}
	for v := minX; v <= maxX*1.001; v *= 10 {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(v), height-bottom+18, short(v))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+width-right)/2, height-12, c.X)
	fmt.Fprintf(&b, `<text x="16" y="%d" text-anchor="middle" transform="rotate(-90 16 %d)">%s</text>`+"\n", (top+height-bottom)/2, (top+height-bottom)/2, c.Y)
	for i, s := range c.Series {
		colour := colours[i%len(colours)]
		var line []string
		for _, p := range s.Points {
			line = append(line, fmt.Sprintf("%.1f,%.1f", x(p.X), y(p.Y)))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x(p.X), y(p.Y), colour)
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(line, " "), colour)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="10" height="10" fill="%s"/>`+"\n", width-right+12, top+20*i, colour)
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n", width-right+28, top+20*i+9, s.Name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// nice returns the next round number.
func nice(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	return math.Ceil(v/unit) * unit
}

func ticks(least, most float64, log bool) []float64 {
	var out []float64
	if log {
		for v := least; v <= most*1.001; v *= 10 {
			out = append(out, v)
		}
		return out
	}
	for i := range 6 {
		out = append(out, least+(most-least)*float64(i)/5)
	}
	return out
}

// short formats a number for an axis.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprintf("%g", v)
}
