package follow

import (
	"context"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/panics"
	"github.com/mtlsguard/mtlsguard/source"
)

// endWait is how long a Load whose context has ended has time for an error of its own.
const endWait = 200 * time.Millisecond

// answer is the result of a Load.
type answer struct {
	g   *source.Generation
	err error
}

// loadNewest calls Load of the source. It does not wait for a Load that continues after the end of its context,
// such as one on a network file system whose server does not answer: mtlsguard must be able to stop. Such a
// Load is left alone, and no other begins before it ends.
func (f *Follower) loadNewest(ctx context.Context) (*source.Generation, error) {
	if f.asking != nil { // its result is of an earlier time
		select {
		case <-f.asking:
			f.asking = nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	result := make(chan answer, 1)
	f.asking = result
	go func(have *source.Generation) {
		var a answer
		defer func() { result <- a }()
		defer panics.AsError(&a.err, "the source")
		a.g, a.err = f.config.Source.Load(ctx, have)
	}(f.seen)
	select {
	case a := <-result:
		f.asking = nil
		return a.g, a.err
	case <-ctx.Done():
	}
	late := time.NewTimer(endWait)
	defer late.Stop()
	select {
	case a := <-result:
		f.asking = nil
		return a.g, a.err
	case <-late.C:
		return nil, ctx.Err()
	}
}
