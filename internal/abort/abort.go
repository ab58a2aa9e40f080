// Package abort ends connections in a way that no client takes for a regular end.
package abort

import (
	"crypto/tls"
	"net"
	"time"
)

// Conn closes a client's connection so that the client cannot take it for a regular end.
// A client that reads until the end (HTTP/1.0, or after an upgrade) would take half an
// answer for a whole one if TLS sent close_notify. Even without close_notify crypto/tls
// forgives an end between two records, so the last record here is an incomplete one.
func Conn(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		raw := t.NetConn()
		raw.SetWriteDeadline(time.Now().Add(abortTimeout))
		raw.Write(incompleteRecord)
		raw.Close()
	}
	c.Close()
}

// abortTimeout bounds the write of the incomplete record, which only waits for a client that
// does not read. It must exceed any delay of this goroutine on a busy machine: after it the
// record would not be sent at all.
const abortTimeout = time.Second

// incompleteRecord is the beginning of a record of application data (RFC 8446 section 5.1).
var incompleteRecord = []byte{23, 3, 3}
