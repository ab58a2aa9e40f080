package reverse

import (
	"io"
	"net"
	"net/http"
	"time"
)

// duplex is a connection whose bytes travel in a stream of the tunnel. It is one pipe
// for each direction, because a stream has no deadlines that can be set again; pipes
// do. A net.Pipe hands over without a buffer: what was written has been read by the
// stream when Write returns, and Close loses nothing.
type duplex struct {
	in, out       net.Conn // our ends
	local, remote net.Addr
}

// newDuplex returns a connection, and the stream's ends of its pipes.
func newDuplex(local, remote net.Addr) (c *duplex, to, from net.Conn) {
	c = &duplex{local: local, remote: remote}
	c.in, to = net.Pipe()
	c.out, from = net.Pipe()
	return c, to, from
}

func (d *duplex) Read(b []byte) (int, error)         { return d.in.Read(b) }
func (d *duplex) Write(b []byte) (int, error)        { return d.out.Write(b) }
func (d *duplex) LocalAddr() net.Addr                { return d.local }
func (d *duplex) RemoteAddr() net.Addr               { return d.remote }
func (d *duplex) SetReadDeadline(t time.Time) error  { return d.in.SetReadDeadline(t) }
func (d *duplex) SetWriteDeadline(t time.Time) error { return d.out.SetWriteDeadline(t) }

func (d *duplex) SetDeadline(t time.Time) error {
	d.in.SetDeadline(t)
	return d.out.SetDeadline(t)
}

// CloseWrite says that no more will be written.
func (d *duplex) CloseWrite() error { return d.out.Close() }

func (d *duplex) Close() error {
	d.in.Close()
	return d.out.Close()
}

// carry moves bytes between a stream and the ends of a duplex, until the duplex is
// closed or the stream breaks. Then both are over.
func carry(w http.ResponseWriter, r *http.Request, to, from net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := io.Copy(to, r.Body); err != nil {
			from.Close() // reset, or nobody reads: what is written now arrives nowhere
		}
		to.Close()
	}()
	control := http.NewResponseController(w)
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if _, failed := w.Write(b[:n]); failed != nil || control.Flush() != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	from.Close()
	to.Close()
	r.Body.Close()
	<-done
}
