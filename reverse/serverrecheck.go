package reverse

import (
	"maps"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// Reconfigure replaces Gateways and Users by those of c. Tunnels stay open if their
// gateway is among the new Gateways; the others are closed. Answers in progress and
// hijacked connections end if the new Users does not trust their caller's client
// certificate.
//
// The other settings of c must have the values given to NewServer. Reconfigure ignores
// Certificate, Handler, Dial, OnEvent and ErrorLog. After an error the old configuration
// stays in effect.
func (s *Server) Reconfigure(c ServerConfig) error {
	s.reconfiguring.Lock()
	defer s.reconfiguring.Unlock()
	c.setDefaults()
	var wrong errorlist.List
	wrong.Merge(s.config.checkUnchanged(&c), configerror.Error{})
	receiver, err := c.receiver()
	wrong.Merge(err, configerror.Error{})
	if err := wrong.Err(); err != nil {
		return err
	}
	s.receiver.Store(receiver)
	s.recheck()
	return nil
}

const recheckInterval = time.Second

// recheckLoop verifies gateways and callers again every second.
func (s *Server) recheckLoop() {
	tick := time.NewTicker(recheckInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.recheck()
			s.renewTunnels()
		case <-s.ended:
			return
		}
	}
}

// recheck verifies the gateways of all tunnels, and the callers of all answers in progress
// and hijacked connections, and ends what is not trusted any more.
func (s *Server) recheck() {
	s.mu.Lock()
	works := slices.Collect(maps.Keys(s.works))
	s.mu.Unlock()
	for _, t := range s.list() {
		s.checker.Check(t, true)
	}
	for _, w := range works {
		s.checker.Check(w, true)
	}
}
