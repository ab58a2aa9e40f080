package mtlsguard

import (
	"os"

	"github.com/mtlsguard/mtlsguard/internal/statussocket"
)

// openStatusSocket opens the socket of Options.StatusSocket, and returns what closes it.
func (s *Server) openStatusSocket() (closeSocket func(), err error) {
	if s.options.StatusSocket == "" {
		return func() {}, nil
	}
	socket, err := statussocket.Listen(s.options.StatusSocket, s.statusReport)
	if err != nil {
		return nil, err
	}
	return socket.Close, nil
}

// statusReport returns what the socket answers: Status, and the ends of certificates and CRLs.
func (s *Server) statusReport() *statussocket.Report {
	status := s.Status()
	out := &statussocket.Report{
		At: s.options.now().UTC(), PID: os.Getpid(), Config: s.path, Ready: status.Ready(), NotReady: status.NotReady, Degraded: status.Degraded,
		Generation: status.Generation, Since: status.Since.UTC(), Ports: []statussocket.Port{}, Ends: []statussocket.End{},
		Gateways: status.Gateways, Services: status.Services, LogDropped: status.Dropped,
	}
	for _, e := range status.Failed {
		out.Failed = append(out.Failed, statussocket.ConfigError(*e))
	}
	if s.options.ShadowEvery > 0 {
		out.Shadow = new(statussocket.Shadow(status.Shadow))
	}
	for i, p := range status.Ports {
		port := statussocket.Port{Name: p.Name, Connections: p.Connections, Allowed: p.Allowed, Refused: p.Refused, Handshakes: p.Handshakes, Failed: p.Failed}
		if i < len(s.ports) && s.ports[i].Addr() != nil {
			port.Addr = s.ports[i].Addr().String()
		}
		out.Ports = append(out.Ports, port)
	}
	fetcher := s.fetcher.Load()
	for _, e := range s.currentGeneration().Ends() {
		end := statussocket.End{What: e.What, At: e.At.UTC(), File: e.File}
		if e.Fetched && fetcher != nil {
			if p := fetcher.Progress(e.File); !p.NextTry.IsZero() {
				end.NextFetch = new(p.NextTry.UTC())
				if !p.LastSuccess.IsZero() {
					end.LastFetched = new(p.LastSuccess.UTC())
				}
			}
		}
		out.Ends = append(out.Ends, end)
	}
	return out
}
