package guardspiffe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"github.com/mtlsguard/mtlsguard/configerror"
)

// Config configures the connection to the Workload API.
type Config struct {
	// Addr is the address of the Workload API, such as unix:///run/spire/agent.sock. "" means
	// that of the environment variable SPIFFE_ENDPOINT_SOCKET.
	Addr string
	// ID is the SPIFFE ID of the SVID to use, for a workload that has several. "" means the
	// first one, which is the default of the Workload API.
	ID string
	// Wait is how long New waits for the first SVID. 0 means 30 s.
	Wait time.Duration
	// Log gets renewals, and the errors of the Workload API. nil means slog.Default.
	Log *slog.Logger
	// Now is the clock by which an SVID has expired. nil means time.Now.
	Now func() time.Time
}

const (
	defaultWait = 30 * time.Second
	watchAgain  = time.Second // after go-spiffe has given up
)

// Source holds the current SVID and bundles of a workload, which it watches until Close. It is
// safe for concurrent use.
type Source struct {
	config  Config
	client  *workloadapi.Client
	stop    context.CancelFunc
	ended   sync.WaitGroup
	current atomic.Pointer[material]
	failed  atomic.Pointer[error] // the last error of the Workload API; nil: none since the last update
	first   chan struct{}         // closed with the first SVID

	mu      sync.Mutex
	changed chan struct{}           // closed, and replaced, when a bundle changes
	absent  map[string]*placeholder // by trust domain
}

// New connects to the Workload API, and waits for the first SVID: within Config.Wait, and until
// ctx ends. Close ends the connection.
func New(ctx context.Context, c Config) (*Source, error) {
	if c.Wait == 0 {
		c.Wait = defaultWait
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	var options []workloadapi.ClientOption
	if c.Addr != "" {
		options = append(options, workloadapi.WithAddr(c.Addr))
	} else {
		c.Addr = os.Getenv(workloadapi.SocketEnv)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	client, err := workloadapi.New(running, options...)
	if err != nil {
		stop()
		return nil, &configerror.Error{
			What: fmt.Sprintf("SPIFFE: the address %q of the Workload API: %s", c.Addr, err),
			Hint: "set Config.Addr, or " + workloadapi.SocketEnv + ", such as unix:///run/spire/agent.sock",
		}
	}
	s := &Source{config: c, client: client, stop: stop, first: make(chan struct{}), changed: make(chan struct{}), absent: map[string]*placeholder{}}
	s.ended.Go(func() { s.watch(running) })
	limit := time.NewTimer(c.Wait)
	defer limit.Stop()
	select {
	case <-s.first:
		return s, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-limit.C:
		err = s.startError()
	}
	return nil, errors.Join(err, s.Close())
}

// startError is the error of New without an SVID in time.
func (s *Source) startError() error {
	why := "it does not answer"
	if failed := s.failed.Load(); failed != nil {
		why = (*failed).Error()
	}
	return &configerror.Error{
		What: fmt.Sprintf("SPIFFE: no SVID from the Workload API at %q within %s: %s", s.config.Addr, s.config.Wait, why),
		Hint: "check that the agent runs and that this workload is registered, with spire-agent api fetch x509",
	}
}

// Close ends the connection to the Workload API. The last SVID and bundles stay in effect.
func (s *Source) Close() error {
	s.stop()
	s.ended.Wait()
	return s.client.Close()
}

// watch gets updates until ctx ends. go-spiffe tries again by itself after most errors, and gives
// up after some that pass, such as those of an agent that is stopped.
func (s *Source) watch(ctx context.Context) {
	for ctx.Err() == nil {
		_ = s.client.WatchX509Context(ctx, watcher{ctx, s}) // the watcher gets the error
		select {
		case <-ctx.Done():
		case <-time.After(watchAgain):
		}
	}
}

// watcher gets what go-spiffe receives.
type watcher struct {
	ctx    context.Context
	source *Source
}

// OnX509ContextUpdate takes new material. If it cannot be used, the former one stays in effect.
func (w watcher) OnX509ContextUpdate(x *workloadapi.X509Context) {
	s := w.source
	next, err := newMaterial(x, s.config.ID, s.current.Load())
	if err != nil {
		w.OnX509ContextWatchError(err)
	} else {
		s.failed.Store(nil)
	}
	if next == nil {
		return
	}
	for _, err := range next.useless {
		s.config.Log.Warn("SPIFFE: an authority of a bundle is left out", slog.String("error", err.Error()))
	}
	before := s.current.Swap(next)
	s.config.Log.Info("SPIFFE: an update of the Workload API is in effect", slog.String("spiffe_id", next.id), slog.Time("not_after", next.notAfter), slog.Int("trust_domains", len(next.bundles)))
	if before == nil {
		close(s.first)
		return
	}
	if !before.sameBundles(next) {
		s.mu.Lock()
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
	}
}

// OnX509ContextWatchError logs an error, once until another one or an update comes.
func (w watcher) OnX509ContextWatchError(err error) {
	s := w.source
	if err == nil || w.ctx.Err() != nil {
		return
	}
	if before := s.failed.Swap(&err); before == nil || (*before).Error() != err.Error() {
		s.config.Log.Warn("SPIFFE: the Workload API has an error, the last SVID and bundles stay in effect", slog.String("addr", s.config.Addr), slog.String("error", err.Error()))
	}
}
