package follow

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/fileset"
)

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// calm is the time without a wait after which a backoff starts again.
const calm = 2 * lastPause

// backoff waits longer each time, from 0.1 s to 5 s, up to half of it more at random. It starts again after a
// calm time, or by reset. The zero value is ready.
type backoff struct {
	pause time.Duration
	ended time.Time // the last wait
}

// wait waits, and reports whether ctx is still alive.
func (b *backoff) wait(ctx context.Context) bool {
	defer b.end()
	return fileset.Sleep(ctx, b.next())
}

// next returns how long the next wait is. The caller calls end after it.
func (b *backoff) next() time.Duration {
	if time.Since(b.ended) > calm {
		b.reset()
	}
	b.pause = min(max(2*b.pause, firstPause), lastPause)
	return b.pause + rand.N(b.pause/2)
}

func (b *backoff) end() { b.ended = time.Now() }

func (b *backoff) reset() { b.pause = 0 }
