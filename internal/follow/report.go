package follow

import (
	"context"
	"errors"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/panics"
	"github.com/mtlsguard/mtlsguard/source"
)

const (
	reportEvery = time.Minute
	reportWait  = 3 * time.Second // for a store to take a report
)

// reporter is a source that takes reports.
type reporter interface {
	PutReport(context.Context, source.Report) error
}

// report makes the goroutine of startReports leave a report of this node: at once if something has changed, and
// else if the last one is a minute old. It does not wait for the store.
func (f *Follower) report(changed bool) {
	if changed {
		f.changed.Store(true)
	}
	select {
	case f.reportDue <- struct{}{}:
	default:
	}
}

// startReports leaves reports in the store, if it takes any, until ctx ends. There is one goroutine, so that a store
// that hangs gets one report, and delays no generation. end waits for it, but not for a store that goes
// on after the end of its context.
func (f *Follower) startReports(ctx context.Context) (end func()) {
	store, ok := f.config.Source.(reporter)
	if !ok {
		return func() {}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.sendReports(ctx, store)
	}()
	return func() {
		late := time.NewTimer(endWait)
		defer late.Stop()
		select {
		case <-ended:
		case <-late.C:
		}
	}
}

// sendReports sends a report when one is due. One that the store does not take is due again.
func (f *Follower) sendReports(ctx context.Context, store reporter) {
	var sent time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.reportDue:
		}
		if !f.changed.Swap(false) && time.Since(sent) < reportEvery {
			continue
		}
		if err := f.putReport(ctx, store); err == nil || errors.Is(err, source.ErrUnsupported) {
			sent = time.Now()
		} else {
			f.changed.Store(true)
		}
	}
}

// putReport sends a report.
func (f *Follower) putReport(ctx context.Context, store reporter) (err error) {
	defer panics.AsError(&err, "the store")
	s := f.State()
	r := source.Report{Node: f.config.Node, Since: s.Since.UTC(), At: f.config.Now().UTC()}
	if s.InEffect != nil {
		r.Number, r.Digest = s.InEffect.Manifest.Number, s.InEffect.Digest()
	}
	if s.Refused != nil {
		r.Refused, r.Errors = s.Refused.Manifest.Number, f.config.Lines(s.RefusedBy)
	}
	ctx, cancel := context.WithTimeout(ctx, reportWait)
	defer cancel()
	return store.PutReport(ctx, r)
}
