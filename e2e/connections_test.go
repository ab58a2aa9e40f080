package e2e

import (
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
)

// connection describes the only connection of a port.
func (l *live) connection(port string) (c ports.ConnInfo) {
	l.Helper()
	n := 0
	for _, each := range l.server.Connections() {
		if each.Port == port {
			c, n = each, n+1
		}
	}
	if n != 1 {
		l.Fatalf("port %s has %d connections, want 1", port, n)
	}
	return c
}

// A connection has the user and the mapping of the last request, whether the guard remembers
// them or asks a program each time.
func TestConnectionHasItsUser(t *testing.T) {
	t.Parallel()
	bob := func(s *site) *testpki.Pair { return s.bob }
	nobody := func(*site) *testpki.Pair { return nil }
	for name, row := range map[string]struct {
		port               string
		holder             func(*site) *testpki.Pair
		mapped             bool // by the program
		options            []testkit.ClientOption
		user, mapping, via string
	}{
		"HTTP/2":              {port: "internal", holder: asAlice, options: []testkit.ClientOption{testkit.HTTP2}, user: "alice", mapping: "alice", via: "tls"},
		"HTTP/1.1, a pattern": {port: "internal", holder: bob, user: "bob", mapping: "staff", via: "tls"},
		"no certificate":      {port: "public", holder: nobody, options: []testkit.ClientOption{testkit.HTTP2}, user: "Default", via: "anonymous"},
		"unmapped":            {port: "public", holder: asUnmapped, user: "guest", via: "tls"},
		"a program's mapper":  {port: "internal", holder: asAlice, mapped: true, user: "alicia", via: "tls"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.sub(config, "strict: false", "strict: false\n    unmapped: guest")
			var options mtlsguard.Options
			if row.mapped {
				s.sub(config, "users: users.yaml\n", "")
				options.Map = mapsAliceTo(row.user)
			}
			l := s.start(options)
			holder := row.holder(s)
			client := s.client(holder, row.options...)
			for range 3 {
				if got := get(client, l.url(row.port, "/whoami")); got != "200 "+row.user {
					t.Fatal(got)
				}
			}
			got := l.connection(row.port)
			if got.User != row.user || got.Mapping != row.mapping || got.Via != row.via || got.Requests != 3 || (got.Leaf == nil) != (holder == nil) {
				t.Errorf("got %+v, want user %q by mapping %q, via %s, after 3 requests", got, row.user, row.mapping, row.via)
			}
		})
	}
}

// After a reload the next request on an open connection changes its user.
func TestUserOfAConnectionFollowsReloads(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	client := s.client(s.alice, testkit.HTTP2)
	for _, user := range []string{"alice", "alicia", "alice"} {
		s.put("users.yaml", "mappings:\n  - {id: now-"+user+", user: "+user+", subject: CN=alice, issuer: ca.pem}\n")
		if err := l.server.Reload(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := get(client, l.url("internal", "/whoami")); got != "200 "+user {
				t.Fatal(got)
			}
			if got := l.connection("internal"); got.User != user || got.Mapping != "now-"+user {
				t.Errorf("got %+v, want user %q by mapping now-%s", got, user, user)
			}
		}
	}
	s.put("users.yaml", "mappings: []\n")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := get(client, l.url("internal", "/whoami")); got != "403 unmapped" {
		t.Fatal(got)
	}
	if got := l.connection("internal"); got.User != "alice" || got.Requests != 7 {
		t.Errorf("got %+v, want alice after 7 requests", got) // the last that was identified
	}
}

// Callers behind a gateway share its connection: the certificate is the gateway's, and the user
// that of the last request.
func TestConnectionOfAGatewayHasTheLastCaller(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	l := b.start(mtlsguard.Options{})
	connection := b.client(b.gateway, testkit.HTTP2)
	for i, row := range []struct {
		holder        *testpki.Pair
		user, mapping string
	}{{b.alice, "alice", "alice"}, {b.bob, "bob", "staff"}, {b.bob, "bob", "staff"}, {b.alice, "alice", "alice"}} {
		if got := get(withHeaders(connection, nginxHeaders(row.holder)...), l.url("internal", "/whoami")); got != "200 "+row.user {
			t.Fatal(got)
		}
		got := l.connection("internal")
		if got.User != row.user || got.Mapping != row.mapping || got.Via != "forwarded" || !got.Leaf.Equal(b.gateway.Cert) || got.Requests != uint64(i+1) {
			t.Errorf("got %+v, want user %q by mapping %q with the gateway's certificate", got, row.user, row.mapping)
		}
	}
}

// A connection of any port can be closed by its ID. Its client may connect again.
func TestServerClosesAConnectionByID(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	client := s.client(s.alice, testkit.HTTP2)
	for range 2 {
		if got := get(client, l.url("public", "/whoami")); got != "200 alice" {
			t.Fatal(got)
		}
		id, start := l.connection("public").ID, time.Now()
		if !l.server.CloseConnection(id) {
			t.Error("the connection is unknown")
		}
		testkit.Eventually(t, "the connection is closed", func() bool { return len(l.server.Connections()) == 0 })
		if took := time.Since(start); took > testkit.Patience/2 { // on a busy machine
			t.Errorf("it took %v", took)
		}
		client.CloseIdleConnections() // the client may not have noticed yet
		if l.server.CloseConnection(id) {
			t.Error("a closed connection was closed again")
		}
	}
}
