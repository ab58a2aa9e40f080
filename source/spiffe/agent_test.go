package guardspiffe_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// agent is a Workload API, with the material that a test gives it.
type agent struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	testing.TB
	path string // of its socket

	mu      sync.Mutex
	server  *grpc.Server
	answer  *workload.X509SVIDResponse // nil: the workload is not registered
	changed chan struct{}
}

// newAgent returns an agent that runs, and has nothing yet.
func newAgent(tb testing.TB) *agent {
	a := &agent{TB: tb, path: filepath.Join(testkit.SocketFolder(tb), "agent.sock"), changed: make(chan struct{})}
	a.start()
	tb.Cleanup(a.stop)
	return a
}

func (a *agent) addr() string { return "unix://" + a.path }

func (a *agent) start() {
	a.Helper()
	l, err := net.Listen("unix", a.path)
	if err != nil {
		a.Fatal(err)
	}
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, a)
	a.mu.Lock()
	a.server = server
	a.mu.Unlock()
	go server.Serve(l)
}

// stop ends the agent, as a restart does: every stream breaks.
func (a *agent) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.server.Stop()
}

// send gives the workload SVIDs, with the bundle of their authority, and the bundles of other trust
// domains.
func (a *agent) send(bundle []*testpki.Pair, federated map[string][]*testpki.Pair, svids ...*testpki.Pair) {
	a.Helper()
	out := &workload.X509SVIDResponse{FederatedBundles: map[string][]byte{}}
	for _, p := range svids {
		key, err := x509.MarshalPKCS8PrivateKey(p.Key)
		if err != nil {
			a.Fatal(err)
		}
		out.Svids = append(out.Svids, &workload.X509SVID{SpiffeId: p.Cert.URIs[0].String(), X509Svid: join(p.Presented()), X509SvidKey: key, Bundle: bundleOf(bundle)})
	}
	for name, all := range federated {
		out.FederatedBundles["spiffe://"+name] = bundleOf(all)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = out
	close(a.changed)
	a.changed = make(chan struct{})
}

func bundleOf(all []*testpki.Pair) []byte {
	var certs []*x509.Certificate
	for _, p := range all {
		certs = append(certs, p.Cert)
	}
	return join(certs)
}

func join(all []*x509.Certificate) (out []byte) {
	for _, c := range all {
		out = append(out, c.Raw...)
	}
	return out
}

// FetchX509SVID implements the Workload API.
func (a *agent) FetchX509SVID(_ *workload.X509SVIDRequest, stream grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	if header, _ := metadata.FromIncomingContext(stream.Context()); !slices.Equal(header.Get("workload.spiffe.io"), []string{"true"}) {
		return status.Error(codes.InvalidArgument, "the security header is missing")
	}
	for {
		a.mu.Lock()
		answer, changed := a.answer, a.changed
		a.mu.Unlock()
		if answer == nil {
			return status.Error(codes.PermissionDenied, "no identity issued")
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// authority makes an authority of a trust domain, as SPIRE does.
func authority(domain string, options ...testpki.Option) *testpki.Pair {
	return testpki.NewCA(domain, append([]testpki.Option{func(c *x509.Certificate) {
		c.Subject = pkix.Name{Country: []string{"US"}, Organization: []string{"SPIFFE"}}
		c.SubjectKeyId = fmt.Append(nil, domain, authorities.Add(1))
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: domain}}
	}}, options...)...)
}

// authorities counts the authorities, whose key identifiers differ.
var authorities atomic.Int64

// svid makes an X509-SVID with the properties of SPIRE's: for clients and servers.
func svid(ca *testpki.Pair, id string, options ...testpki.Option) *testpki.Pair {
	u, err := url.Parse(id)
	if err != nil {
		panic(err)
	}
	return ca.Leaf("", append([]testpki.Option{func(c *x509.Certificate) {
		c.Subject = pkix.Name{Country: []string{"US"}, Organization: []string{"SPIRE"}}
		c.URIs, c.DNSNames = []*url.URL{u}, []string{"localhost"}
		c.KeyUsage |= x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}}, options...)...)
}
