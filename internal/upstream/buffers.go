package upstream

import "sync"

const bufferBytes = 32 << 10 // as ReverseProxy would allocate for each answer

// buffers are those that answers are copied with. ReverseProxy writes what it has read into a
// buffer, and nothing that was in it before.
type buffers struct{}

var unused = sync.Pool{New: func() any { return new([bufferBytes]byte) }}

// Get implements httputil.BufferPool.
func (buffers) Get() []byte { return unused.Get().(*[bufferBytes]byte)[:] }

// Put implements httputil.BufferPool.
func (buffers) Put(b []byte) { unused.Put((*[bufferBytes]byte)(b)) }
