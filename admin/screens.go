package admin

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/reason"
)

//go:embed templates static
var files embed.FS

// screen is one page for people.
type screen struct {
	name     string // of its template, and in the navigation
	path     string // in the navigation; "" for a page below another
	title    string
	patterns []string
	view     func(*call) (any, error)
	edits    bool // the log has a line about each call
}

// The screens, in the order of the navigation.
var screens = []screen{
	{"overview", "/", "Overview", []string{"GET /{$}"}, (*call).overview, false},
	{"ports", "/ports", "Ports", []string{"GET /ports"}, (*call).listPorts, false},
	{"port", "", "Port", []string{"GET /ports/{name}"}, (*call).portScreen, false},
	{"connections", "/connections", "Connections", []string{"GET /connections"}, (*call).connectionsScreen, false},
	{"connections", "", "Connections", []string{"POST /connections/{id}/close"}, (*call).closeScreen, true},
	{"mappings", "/mappings", "Mappings", []string{"GET /mappings"}, (*call).mappingsScreen, false},
	{"mapping", "", "Mapping", []string{"GET /mappings/{id}"}, (*call).mappingScreen, false},
	{"mapping", "", "Mapping", []string{"POST /mappings/{id}/edit"}, (*call).editScreen, true},
	{"rotation", "", "Rotation", []string{"POST /mappings/{id}/rotate"}, (*call).rotateScreen, true},
	{"newmapping", "", "Add a mapping", []string{"GET " + newMappingPath}, (*call).newMappingScreen, false},
	{"newmapping", "", "Add a mapping", []string{"POST " + newMappingPath}, (*call).addScreen, true},
	{"refusals", "/refusals", "Refusals", []string{"GET /refusals"}, (*call).refusalsScreen, false},
	{"refusal", "", "Refusal", []string{"GET /refusals/{reference}"}, (*call).refusalScreen, false},
	{"explain", "/explain", "Explain", []string{"GET /explain", "POST /explain"}, (*call).explainScreen, false},
	{"trust", "/trust", "Trust", []string{"GET /trust"}, (*call).trust, false},
	{"changes", "/changes", "Changes", []string{"GET /changes"}, (*call).changesScreen, false},
	{"changes", "", "Changes", []string{"POST /changes/reload"}, (*call).reloadScreen, true},
	{"fleetchange", "", "Generation of the fleet", []string{"GET /changes/{number}"}, (*call).fleetChangeScreen, false},
	{"fleetchange", "", "Rollback", []string{"POST /changes/{number}/rollback"}, (*call).rollbackScreen, true},
	{"lint", "", "Lint", []string{"GET /lint"}, (*call).lintScreen, false},
}

// frame is what every screen has around it.
type frame struct {
	Program    string
	Title      string
	Host       string
	Screens    []screen
	Current    string // path in the navigation
	Status     apiStatus
	Since      time.Time
	Me         apiMe
	Now        time.Time
	View       any
	Failure    *failure
	Navigation []link
}

type link struct {
	Path, Title string
	Current     bool
}

// parseScreens parses the templates, which are part of the program.
func parseScreens() map[string]*template.Template {
	base := template.Must(template.New("base.html").Funcs(template.FuncMap{
		"when": newMoment, "moment": parseMoment, "short": shortDigest, "segment": mappingSegment, "printable": func(s string) string { return escape.Printable(s, 0) },
		"sum":  sumOf,
		"join": func(all []string) string { return escape.Printable(strings.Join(all, ", "), 0) },
	}).ParseFS(files, "templates/base.html", "templates/parts.html", "templates/edits.html"))
	out := map[string]*template.Template{}
	for _, s := range append(screens, screen{name: "failure"}) {
		out[s.name] = template.Must(template.Must(base.Clone()).ParseFS(files, "templates/"+s.name+".html"))
	}
	return out
}

// show answers with a screen.
func (c *call) show(s *screen) {
	v, err := s.view(c)
	shown := shownFailure(v)
	switch {
	case !s.edits:
	case shown != nil:
		c.logEdit(shown)
	default:
		c.logEdit(err)
	}
	if v == nil && err == nil {
		return // it has answered
	}
	status := c.server.Status()
	f := frame{
		Program: c.page.title(), Title: s.title, Host: hostName(), Status: newStatusReport(&status), Since: status.Since, Now: c.now, View: v,
		Me: apiMe{User: c.id.User, Mapping: c.id.MappingID, Groups: c.id.Groups, MayEdit: c.mayPost("/api/v1/reload")},
	}
	name, code := s.name, http.StatusOK
	if shown != nil {
		code = shown.Status
	}
	if err != nil {
		f.Failure = asFailure(err)
		name, code = "failure", f.Failure.Status
		f.Title = http.StatusText(code)
	}
	for _, other := range screens {
		if other.path != "" {
			f.Navigation = append(f.Navigation, link{other.path, other.title, c.URL.Path == other.path || c.URL.Path == newMappingPath && other.name == "mappings" || other.path != "/" && strings.HasPrefix(c.URL.Path, other.path+"/")})
		}
	}
	var body bytes.Buffer
	if err := c.page.screens[name].ExecuteTemplate(&body, "base.html", &f); err != nil {
		writeFailure(c.w, asFailure(err)) // half a page would hide what it does not show
		return
	}
	c.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	c.w.WriteHeader(code)
	_, _ = body.WriteTo(c.w)
}

// shownFailure returns the failure that a screen shows beside its form; nil if there is none.
func shownFailure(view any) *failure {
	if v, ok := view.(interface{ failed() *failure }); ok {
		return v.failed()
	}
	return nil
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// moment is a time as people read it.
type moment struct{ Machine, Text, Relative string }

// newMoment returns a time relative to now. A zero time is no time.
func newMoment(now, t time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	t = t.UTC()
	return moment{t.Format(time.RFC3339), t.Format("2006-01-02 15:04:05"), relative(t.Sub(now))}
}

// parseMoment is newMoment for a time of a report.
func parseMoment(now time.Time, text string) moment {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return moment{}
	}
	return newMoment(now, t)
}

// relative returns a duration in its largest unit: "in 12 days", "3 minutes ago".
func relative(d time.Duration) string {
	past := d < 0
	if past {
		d = -d
	}
	n, unit := int(d/time.Second), "second"
	switch {
	case d >= 48*time.Hour:
		n, unit = int(d/(24*time.Hour)), "day"
	case d >= 2*time.Hour:
		n, unit = int(d/time.Hour), "hour"
	case d >= 2*time.Minute:
		n, unit = int(d/time.Minute), "minute"
	}
	text := fmt.Sprintf("%d %s", n, unit)
	if n != 1 {
		text += "s"
	}
	switch {
	case n == 0:
		return "now"
	case past:
		return text + " ago"
	}
	return "in " + text
}

// shortDigest returns the beginning of a digest, for people.
func shortDigest(hex string) string { return hex[:min(len(hex), 16)] }

// sumOf returns the number of refusals for all reasons.
func sumOf(counts map[reason.Reason]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// serveStatic serves the style and the script.
func serveStatic(w http.ResponseWriter, r *http.Request) {
	data, err := files.ReadFile("static/" + r.PathValue("name"))
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	kind, ok := types[path.Ext(r.PathValue("name"))]
	if err != nil || !ok {
		fail(w, r, http.StatusNotFound, "there is no such file", "begin at /")
		return
	}
	sum := sha256.Sum256(data)
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-cache") // a new version of the program has new files
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}
