//go:build !unix

package upstream

// canKeep reports whether state can see what the service has sent.
const canKeep = false

func (*directConn) state() connState { return connClosed }
