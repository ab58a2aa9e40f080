package daemon

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// probeTimeout bounds each wait for a client of the probes.
const probeTimeout = 5 * time.Second

// serveProbes answers GET /live and GET /ready at an address, without TLS and without the guard: no
// caller may reach it. /live is 200 as long as the process answers. A server that is not ready must
// not be killed for it, so /live does not depend on ready.
func serveProbes(addr string, ready http.Handler) (io.Closer, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--probes: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /ready", ready)
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "live") })
	srv := &http.Server{Handler: mux, ReadTimeout: probeTimeout, WriteTimeout: probeTimeout, MaxHeaderBytes: 4096}
	srv.SetKeepAlivesEnabled(false)
	go srv.Serve(listener) // returns when it is closed
	return srv, nil
}
