package source

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/panics"
)

// stallTimeout is the longest time without a byte of a file. A slow source may take as long as it
// needs; from one that sends nothing, the file is requested again.
var stallTimeout = 30 * time.Second

// maxHanging is how many reads of a source may go on after they were given up.
const maxHanging = 4

// transfer copies a file of g to w, until no byte comes for stallTimeout or ctx ends. It does not wait for
// a source that goes on after that, such as one on a network file system whose server is away: such a read is
// left alone, and it is an error when there are maxHanging of them.
func (b blobs) transfer(ctx context.Context, w io.Writer, g *Generation, f File) error {
	select {
	case b.reads <- struct{}{}:
	default:
		return fmt.Errorf("file %s of generation %d: the source has not ended %d earlier reads", f.Name, g.Manifest.Number, maxHanging)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(stallTimeout, func() {
		cancel(fmt.Errorf("file %s of generation %d: nothing came for %s", f.Name, g.Manifest.Number, stallTimeout))
	})
	defer stalled.Stop()
	from, to := io.Pipe()
	defer from.Close()
	context.AfterFunc(ctx, func() { from.Close() }) // ends reads and writes of the pipe
	go func() {
		err := read(ctx, to, g, f)
		<-b.reads
		to.CloseWithError(err)
	}()
	_, err := io.Copy(w, flowing{from, stalled})
	if err != nil && context.Cause(ctx) != nil {
		return context.Cause(ctx)
	}
	return err
}

// read writes a file of g to w.
func read(ctx context.Context, w io.Writer, g *Generation, f File) (err error) {
	defer panics.AsError(&err, "the source")
	r, err := g.Open(ctx, f)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

// flowing is a reader that puts off a timer with each byte.
type flowing struct {
	io.Reader
	stalled *time.Timer
}

func (f flowing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if n > 0 {
		f.stalled.Reset(stallTimeout)
	}
	return n, err
}
