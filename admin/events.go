package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/mtlsguard/mtlsguard"
)

// Bounds of the streams of events.
const (
	maxStreams       = 16
	maxStreamsOfUser = 8                // else one user could take all of them from the others
	streamTime       = time.Minute      // then the browser opens the stream again, and the guard decides again
	streamTick       = time.Second      // between two looks at the server
	streamWriteLimit = 10 * time.Second // for one event to a browser that does not read
	refusalsPerTick  = 10
)

// liveStatus is the event status: the figures that change without a reload.
type liveStatus struct {
	Ready      bool       `json:"ready"`
	Degraded   bool       `json:"degraded"`
	Failed     bool       `json:"failed"`
	Generation uint64     `json:"generation"`
	Ports      []livePort `json:"ports"`
}

type livePort struct {
	Name        string `json:"name"`
	Connections int    `json:"connections"`
	Allowed     uint64 `json:"allowed"`
	Refused     uint64 `json:"refused"`
	Handshakes  uint64 `json:"handshakes_refused"`
	Failed      uint64 `json:"handshakes_failed"`
}

func newLivePorts(s *mtlsguard.Status) []livePort {
	out := []livePort{}
	for _, p := range s.Ports {
		l := livePort{Name: p.Name, Connections: p.Connections, Allowed: p.Allowed, Failed: p.Failed}
		l.Refused, l.Handshakes = sumOf(p.Refused), sumOf(p.Handshakes)
		out = append(out, l)
	}
	return out
}

// liveRefusals is the event refusal: how many refusals there were since the last one, and the
// newest of them.
type liveRefusals struct {
	Refusals   []apiRefusal `json:"refusals"`
	Suppressed int          `json:"suppressed"` // not sent
}

// events sends the events of the server as they happen (text/event-stream), until the server
// drains, for at most a minute. A stream also ends with a new configuration, which may not allow
// it any more: a browser comes back, and the guard decides.
func (c *call) events() (any, error) {
	if c.Method == http.MethodHead { // a stream without a body would hold one of the few places, and the connection
		c.w.Header().Set("Content-Type", "text/event-stream")
		c.w.WriteHeader(http.StatusOK)
		return nil, nil
	}
	if !c.page.streams.open(c.id.User) {
		c.w.Header().Set("Retry-After", "30")
		return nil, &failure{
			Status: http.StatusServiceUnavailable, Detail: fmt.Sprintf("there are %d streams of events already, or %d of user %s", maxStreams, maxStreamsOfUser, c.id.User), Hint: "close another page",
		}
	}
	defer c.page.streams.close(c.id.User)
	status := c.server.Status()
	if !status.Ready() {
		c.w.Header().Set("Retry-After", "5")
		return nil, &failure{Status: http.StatusServiceUnavailable, Detail: "the server is not ready", Hint: "the stream ends when the server drains"}
	}
	s := &stream{call: c, generation: status.Generation, sent: c.page.sequence.Load(), control: http.NewResponseController(c.w)}
	if n, err := strconv.ParseUint(c.Header.Get("Last-Event-ID"), 10, 64); err == nil && n < s.sent {
		s.sent = n // the browser comes back
	}
	c.w.Header().Set("Content-Type", "text/event-stream")
	c.w.WriteHeader(http.StatusOK)
	if _, err := c.w.Write([]byte("retry: 1000\n\n")); err != nil {
		return nil, nil
	}
	s.run()
	return nil, nil
}

// stream is one stream of events.
type stream struct {
	*call
	control    *http.ResponseController
	generation uint64
	sent       uint64 // the sequence of the last refusal that was sent or left out
	status     []byte // the last event status
}

func (s *stream) run() {
	ticker := time.NewTicker(streamTick)
	defer ticker.Stop()
	end := time.NewTimer(streamTime)
	defer end.Stop()
	for s.tick() {
		select {
		case <-ticker.C:
		case <-end.C:
			return
		case <-s.Context().Done():
			return
		}
	}
}

// tick sends what has changed, and reports whether the stream goes on.
func (s *stream) tick() bool {
	all := s.server.Status()
	now := liveStatus{Ready: all.Ready(), Degraded: len(all.Degraded) > 0, Failed: len(all.Failed) > 0, Generation: all.Generation, Ports: newLivePorts(&all)}
	ok := s.sendRefusals()
	if body, err := json.Marshal(now); ok && err == nil && !bytes.Equal(body, s.status) {
		s.status = body
		ok = s.send("status", body)
	}
	if now.Generation != s.generation {
		s.send("reload", fmt.Appendf(nil, `{"generation":%d}`, now.Generation))
		return false
	}
	return ok && now.Ready
}

// sendRefusals sends the newest of the refusals since the last call.
func (s *stream) sendRefusals() bool {
	last := s.page.sequence.Load()
	if last == s.sent {
		return true
	}
	out := liveRefusals{Refusals: []apiRefusal{}}
	for _, r := range s.page.recorder.refusals() {
		if r.sequence <= s.sent || len(out.Refusals) == refusalsPerTick {
			break
		}
		last = max(last, r.sequence)
		out.Refusals = append(out.Refusals, r.view())
	}
	out.Suppressed = int(last-s.sent) - len(out.Refusals)
	s.sent = last
	body, err := json.Marshal(out)
	return err == nil && s.send("refusal", body)
}

// send sends one event. JSON has no line ends. The deadline goes with the event: on HTTP/2 one
// that passes resets the stream, even if nothing is being written.
func (s *stream) send(event string, data []byte) bool {
	defer func() { _ = s.control.SetWriteDeadline(time.Time{}) }()
	_ = s.control.SetWriteDeadline(time.Now().Add(streamWriteLimit)) // the port has a limit too
	if _, err := fmt.Fprintf(s.w, "id: %d\nevent: %s\ndata: %s\n\n", s.sent, event, data); err != nil {
		return false
	}
	return s.control.Flush() == nil
}
