package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/fleetedit"
	"github.com/mtlsguard/mtlsguard/source"
)

// apiFleetChange is a generation of a fleet with what it changed.
type apiFleetChange struct {
	apiFleetGeneration
	Trusted bool                 `json:"trusted"`           // a signer of this node has signed it, or it needs none
	Missing uint64               `json:"missing,omitempty"` // the number of the generation before it, if the store does not have that: all files are listed as added
	Files   []fleetedit.FileDiff `json:"files"`
}

// compared bounds what is compared for one answer, to 250 MB of memory. A file of 50,000 mappings has 5 MB. A mapping has
// 14 separators, and only those that differ are parsed if each has a line of its own.
var compared = fleetedit.Limits{Read: 16 << 20, Parse: 600_000}

// compareAlone waits until no other comparison is under way: each may take much memory.
func (c *call) compareAlone() (done func(), err error) {
	ctx, cancel := context.WithTimeout(c.Context(), c.page.asking.time)
	defer cancel()
	select {
	case c.page.comparing <- struct{}{}:
		return func() { <-c.page.comparing }, nil
	case <-ctx.Done():
		return nil, &failure{Status: http.StatusServiceUnavailable, Detail: "other generations are being compared", Hint: "try again later"}
	}
}

// fleetChange answers with a generation, and what it changed.
func (c *call) fleetChange() (any, error) {
	node, err := c.node()
	if err != nil {
		return nil, err
	}
	g, err := c.storedGeneration(node)
	if err != nil {
		return nil, err
	}
	c.w.Header().Set("ETag", formatETag(node.Site.Fleet.Digest().SHA256()))
	done, err := c.compareAlone()
	if err != nil {
		return nil, err
	}
	defer done()
	store, _ := c.page.storeOf(node)
	return askStore(c, func(ctx context.Context) (*apiFleetChange, error) {
		out := &apiFleetChange{apiFleetGeneration: newFleetGeneration(g.Manifest), Trusted: node.Check(g) == nil}
		before, err := previous(ctx, store, g)
		if err != nil {
			return nil, err
		}
		if before == nil {
			out.Missing = g.Manifest.Number - 1
		}
		out.Files, err = fleetedit.Diff(ctx, before, g, compared)
		return out, err
	})
}

// previous returns the generation before g, or nil if there is none in the store.
func previous(ctx context.Context, store source.Store, g *source.Generation) (*source.Generation, error) {
	if g.Manifest.Number == 1 {
		return nil, nil
	}
	before, err := store.At(ctx, g.Manifest.Number-1)
	if errors.Is(err, source.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return before, fleetedit.CheckParent(g, before) // with a forged one before it, a change could be hidden
}

// storedGeneration returns the generation that the path names, as the store has it.
func (c *call) storedGeneration(node *fleetedit.Node) (*source.Generation, error) {
	var number uint64
	if _, err := fmt.Sscanf(c.PathValue("number"), "%d", &number); err != nil || fmt.Sprint(number) != c.PathValue("number") {
		return nil, notFound("there is no generation "+escape.Quote(c.PathValue("number"), escape.Short), "GET /api/v1/fleet lists them")
	}
	store, ok := c.page.storeOf(node)
	if !ok {
		return nil, notFound("the source of the fleet has no history", "it can only be read")
	}
	return askStore(c, func(ctx context.Context) (*source.Generation, error) {
		g, err := store.At(ctx, number)
		switch {
		case errors.Is(err, source.ErrNone), err == nil && g.Manifest.Number != number:
			return nil, notFound(fmt.Sprintf("the store has no generation %d, or not any more", number), "GET /api/v1/fleet lists them")
		case err != nil:
			return nil, err
		}
		return g, nil
	})
}

// fleetChangeView is the screen of a generation.
type fleetChangeView struct {
	*apiFleetChange
	ETag string // of the generation in effect; "" where nothing can be restored
}

func (c *call) fleetChangeScreen() (any, error) {
	v, err := c.fleetChange()
	if err != nil {
		return nil, err
	}
	out := &fleetChangeView{apiFleetChange: v.(*apiFleetChange)}
	node, err := c.node()
	if err != nil {
		return nil, err
	}
	now := node.Site.Fleet
	if _, err := c.fleetWriter(node); err == nil && c.page.mayEdit() && out.Trusted && out.Number < now.Manifest.Number && c.mayPost(c.URL.Path+"/rollback") {
		out.ETag = formatETag(now.Digest().SHA256())
	}
	return out, nil
}
