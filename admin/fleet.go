package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/fleetedit"
	"github.com/mtlsguard/mtlsguard/internal/panics"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/source"
)

// apiFleet is the fleet that the server is a node of. The store's data about generations and nodes is shown as it is;
// the generation in effect was checked.
type apiFleet struct {
	Name        string               `json:"name"`
	InEffect    uint64               `json:"in_effect"` // on this node
	Generations []apiFleetGeneration `json:"generations"`
	Nodes       []apiFleetNode       `json:"nodes"`
	Error       string               `json:"error,omitempty"` // why generations or nodes are missing
}

// apiFleetGeneration is a generation of a fleet, newest first.
type apiFleetGeneration struct {
	Number   uint64 `json:"number"`
	At       string `json:"at"`
	Author   string `json:"author"`
	By       string `json:"by,omitempty"` // fingerprint of the author's certificate
	Note     string `json:"note,omitempty"`
	Restores uint64 `json:"restores,omitempty"`
}

// apiFleetNode is what a node has reported.
type apiFleetNode struct {
	Node   string   `json:"node"`
	Number uint64   `json:"number"` // in effect there
	Since  string   `json:"since"`
	At     string   `json:"at"` // of the report
	State  string   `json:"state"`
	Errors []string `json:"errors,omitempty"` // why it has refused a generation
}

// shownGenerations is how many generations are listed.
const shownGenerations = 50

func newFleetGeneration(m source.Manifest) apiFleetGeneration {
	return apiFleetGeneration{m.Number, report.Time(m.At), m.Author, m.By, m.Note, m.Restores}
}

// node returns the node of a fleet that the server is.
func (c *call) node() (*fleetedit.Node, error) {
	node := fleetedit.OfServer(c.server)
	if node == nil || node.Site.Fleet == nil {
		return nil, notFound("this server follows no source", "its configuration is in files on disk")
	}
	return node, nil
}

// fleet answers with the generations and nodes of the fleet.
func (c *call) fleet() (any, error) {
	node, err := c.node()
	if err != nil {
		return nil, err
	}
	now := node.Site.Fleet
	c.w.Header().Set("ETag", formatETag(now.Digest().SHA256()))
	out := &apiFleet{Name: now.Manifest.Fleet, InEffect: now.Manifest.Number, Generations: []apiFleetGeneration{newFleetGeneration(now.Manifest)}, Nodes: []apiFleetNode{}}
	store, ok := c.page.storeOf(node)
	if !ok {
		out.Error = "the source can only be read: it has no history, and no reports of nodes"
		return out, nil
	}
	type answer struct {
		manifests []source.Manifest
		reports   []source.Report
	}
	got, err := askStore(c, func(ctx context.Context) (a answer, err error) {
		if a.manifests, err = store.History(ctx, 0, shownGenerations); err == nil {
			a.reports, err = store.Reports(ctx)
		}
		if errors.Is(err, source.ErrUnsupported) {
			err = nil
		}
		return a, err
	})
	if err != nil {
		out.Error = asFailure(err).Detail
		return out, nil
	}
	newest := now.Manifest.Number
	if len(got.manifests) > 0 {
		out.Generations, newest = nil, got.manifests[0].Number
	}
	for _, m := range got.manifests {
		out.Generations = append(out.Generations, newFleetGeneration(m))
	}
	for _, r := range got.reports {
		out.Nodes = append(out.Nodes, apiFleetNode{r.Node, r.Number, report.Time(r.Since), report.Time(r.At), c.stateOf(&r, newest), r.Errors})
	}
	return out, nil
}

// silentAfter is the age of a report of a node that is gone, or cut off: nodes report each minute.
const silentAfter = 5 * time.Minute

// stateOf returns the state of a node, as mtlsguard-fleet status does.
func (c *call) stateOf(r *source.Report, newest uint64) string {
	switch {
	case r.Refused != 0:
		return fmt.Sprintf("refused %d", r.Refused)
	case c.now.Sub(r.At) > silentAfter:
		return "silent"
	case r.Number < newest:
		return "behind"
	case r.Number > newest:
		return "other"
	}
	return "current"
}

// askStore queries the store of a fleet, without changing it.
func askStore[T any](c *call, ask func(context.Context) (T, error)) (T, error) {
	out, err := c.page.asking.ask(c.Context(), func(ctx context.Context) (any, error) { return ask(ctx) })
	if _, ok := errors.AsType[*failure](err); err != nil && !ok {
		err = storeFailure(err, "ask again later: "+escape.Printable(c.URL.Path, maxDetail))
	}
	value, _ := out.(T)
	return value, err
}

// storeTime bounds the wait for the store of the fleet.
const storeTime = 10 * time.Second

// questions queries a store, and waits no longer than its time, even if the query continues. At most as many queries as
// its capacity are open, including those that were given up; further ones wait for a tenth of the time.
type questions struct {
	open chan struct{}
	time time.Duration
}

func (q questions) ask(ctx context.Context, ask func(context.Context) (any, error)) (any, error) {
	full := time.NewTimer(q.time / 10)
	defer full.Stop()
	select {
	case q.open <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-full.C:
		return nil, &failure{Status: http.StatusServiceUnavailable, Detail: "the store of the fleet has not answered earlier questions", Hint: "the store was neither queried nor changed: try again later"}
	}
	ctx, cancel := context.WithTimeout(ctx, q.time)
	defer cancel()
	type answer struct {
		value any
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		defer func() { <-q.open }()
		var a answer
		defer func() { answered <- a }()
		defer panics.AsError(&a.err, "the store of the fleet")
		a.value, a.err = ask(ctx)
	}()
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// maxAsking is how many questions to a store may be open.
const maxAsking = 4
