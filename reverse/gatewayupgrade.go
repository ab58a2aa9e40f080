package reverse

import (
	"bufio"
	"errors"
	"io"
	"net/http"
)

// switchTo carries a request that may switch protocols. HTTP/2 streams in a tunnel
// cannot be upgraded, so it goes as a POST whose body is what the client sends after
// the switch; the answer's body is what the handler writes on the connection that it
// takes. A handler that takes none answers as always, and then there is no way for
// further bytes (E15).
func (t *gatewayEnd) switchTo(r *http.Request, x *exchange) (*http.Response, error) {
	if r.Method != http.MethodGet || r.Body != nil && r.Body != http.NoBody {
		return nil, errNoSwitch
	}
	body, up := io.Pipe()
	out := r.WithContext(r.Context())
	out.Method, out.Body, out.ContentLength = http.MethodPost, body, -1
	out.Header = r.Header.Clone()
	out.Header.Del("Connection")
	out.Header.Del("Upgrade")
	out.Header[headerUpgrade] = []string{x.upgrade}
	res, err := t.client.RoundTrip(out)
	if err != nil {
		up.Close()
		return nil, err
	}
	t.noteBusy(res)
	if kind, _ := single(res.Header, headerKind); kind != kindTaken || res.StatusCode != http.StatusOK {
		up.Close()
		return res, nil
	}
	return taken(r, res, up, x.client.cut)
}

var errNoSwitch = errors.New("reverse: only a GET without a body can switch protocols")

// taken reads what the handler wrote on its connection: an answer of HTTP/1.1.
func taken(r *http.Request, res *http.Response, up *io.PipeWriter, cut func()) (*http.Response, error) {
	head := &io.LimitedReader{R: res.Body, N: headerBytes}
	down := bufio.NewReader(head)
	answer, err := http.ReadResponse(down, r)
	if err != nil {
		up.Close()
		res.Body.Close()
		return nil, err
	}
	head.N = 1<<63 - 1 // what follows has no bound
	if answer.StatusCode != http.StatusSwitchingProtocols {
		up.Close()
		answer.Body = &ended{ReadCloser: answer.Body, below: res.Body}
		return answer, nil
	}
	answer.Body = &switched{r: down, down: res.Body, up: up, cut: cut}
	return answer, nil
}

// switched is a connection through the tunnel.
type switched struct {
	r    *bufio.Reader
	down io.Closer
	up   *io.PipeWriter
	cut  func() // the client's end
}

// Read reads what the handler writes. Where the tunnel breaks, the client is cut off
// before anyone can say goodbye to it.
func (s *switched) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		s.cut()
	}
	return n, err
}

func (s *switched) Write(b []byte) (int, error) { return s.up.Write(b) }

// CloseWrite says that no more will be written.
func (s *switched) CloseWrite() error { return s.up.Close() }

func (s *switched) Close() error {
	s.up.Close()
	return s.down.Close()
}

// ended is the body of an answer that switched nothing.
type ended struct {
	io.ReadCloser
	below io.Closer
}

func (e *ended) Close() error {
	e.ReadCloser.Close()
	return e.below.Close()
}
