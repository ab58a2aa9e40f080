package wire

import (
	"io"
	"net"
	"net/http"
	"time"
)

// Duplex is a connection whose bytes travel in a stream of a tunnel. It has one pipe for
// each direction, because a stream has no deadlines that can be set again and pipes do. A
// net.Pipe has no buffer: the stream has read the bytes when Write returns, and Close
// loses none.
type Duplex struct {
	in, out       net.Conn // this connection's ends of the pipes
	to, from      net.Conn // the stream's ends
	local, remote net.Addr
}

// NewDuplex returns a connection with these addresses. Carry moves its bytes.
func NewDuplex(local, remote net.Addr) *Duplex {
	d := &Duplex{local: local, remote: remote}
	d.in, d.to = net.Pipe()
	d.out, d.from = net.Pipe()
	return d
}

// Read implements net.Conn.
func (d *Duplex) Read(b []byte) (int, error) { return d.in.Read(b) }

// Write implements net.Conn.
func (d *Duplex) Write(b []byte) (int, error) { return d.out.Write(b) }

// LocalAddr implements net.Conn.
func (d *Duplex) LocalAddr() net.Addr { return d.local }

// RemoteAddr implements net.Conn.
func (d *Duplex) RemoteAddr() net.Addr { return d.remote }

// SetReadDeadline implements net.Conn.
func (d *Duplex) SetReadDeadline(t time.Time) error { return d.in.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (d *Duplex) SetWriteDeadline(t time.Time) error { return d.out.SetWriteDeadline(t) }

// SetDeadline implements net.Conn.
func (d *Duplex) SetDeadline(t time.Time) error {
	d.in.SetDeadline(t)
	return d.out.SetDeadline(t)
}

// CloseWrite closes the direction of Write.
func (d *Duplex) CloseWrite() error { return d.out.Close() }

// Close implements net.Conn.
func (d *Duplex) Close() error {
	d.in.Close()
	return d.out.Close()
}

// Carry moves bytes between d and the stream of w and r, until d is closed or the stream
// breaks. Then both are closed.
func (d *Duplex) Carry(w http.ResponseWriter, r *http.Request) {
	received := make(chan struct{})
	go func() {
		defer close(received)
		if _, err := io.Copy(d.to, r.Body); err != nil {
			d.from.Close() // the stream was reset or d is not read: later writes would have no reader
		}
		d.to.Close()
	}()
	control := http.NewResponseController(w)
	b := make([]byte, 32<<10)
	for {
		n, err := d.from.Read(b)
		if n > 0 {
			if _, failed := w.Write(b[:n]); failed != nil || control.Flush() != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	d.from.Close()
	d.to.Close()
	r.Body.Close()
	<-received
}
