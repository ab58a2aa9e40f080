package ports_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
)

// Every field of tls.Config is honoured or an error that says why: none is ignored. A field of
// a newer Go fails here, and has to be put into one of the two lists.
func TestEveryFieldOfTLSIsHonouredOrAnError(t *testing.T) {
	t.Parallel()
	honoured := []string{"CipherSuites", "CurvePreferences", "MinVersion", "MaxVersion", "NextProtos", "SessionTicketsDisabled", "DynamicRecordSizingDisabled", "PreferServerCipherSuites"}
	kind := reflect.TypeFor[tls.Config]()
	for i := range kind.NumField() {
		field := kind.Field(i)
		if !field.IsExported() {
			continue
		}
		settings := &tls.Config{}
		v := reflect.ValueOf(settings).Elem().Field(i)
		switch field.Type.Kind() {
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(field.Type, 0, 0))
		case reflect.Map:
			v.Set(reflect.MakeMap(field.Type))
		case reflect.Func:
			v.Set(reflect.MakeFunc(field.Type, func([]reflect.Value) []reflect.Value { panic("called") }))
		case reflect.Array:
			v.Index(0).SetUint(1)
		case reflect.Pointer:
			v.Set(reflect.New(field.Type.Elem()))
		case reflect.String:
			v.SetString("x")
		case reflect.Int:
			v.SetInt(1)
		case reflect.Uint16:
			v.SetUint(tls.VersionTLS13)
		case reflect.Interface:
			for _, value := range []any{io.Discard, strings.NewReader("x"), tls.NewLRUClientSessionCache(1)} {
				if reflect.TypeOf(value).Implements(field.Type) {
					v.Set(reflect.ValueOf(value))
				}
			}
		}
		if v.IsZero() {
			t.Fatalf("%s is not set by the test", field.Name)
		}
		c, _ := config(t, ports.Request)
		c.TLS = settings
		_, err := ports.New(c)
		switch {
		case slices.Contains(honoured, field.Name):
			if err != nil {
				t.Errorf("%s is honoured: got %v, want no error", field.Name, err)
			}
		case err == nil || !strings.Contains(err.Error(), "TLS."+field.Name+" is not honoured (") || strings.Contains(err.Error(), "does not know it"):
			t.Errorf("%s: got %v, want an error with the reason why it is not honoured", field.Name, err)
		}
	}
}

func TestUnsupportedTLSSettingsAreErrors(t *testing.T) {
	t.Parallel()
	keys := &tls.Config{}
	keys.SetSessionTicketKeys([][32]byte{{1}})
	for name, row := range map[string]struct {
		settings *tls.Config
		want     string
	}{
		"ticket keys":            {keys, "SetSessionTicketKeys is not honoured"},
		"TLS 1.1":                {&tls.Config{MinVersion: tls.VersionTLS11}, "MinVersion: 0x302 is not supported"},
		"a suite":                {&tls.Config{CipherSuites: []uint16{0xdada}}, "no suite 0xdada"},
		"no version":             {&tls.Config{MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS12}, "below the lowest version"},
		"two settings at a time": {&tls.Config{InsecureSkipVerify: true, KeyLogWriter: io.Discard}, "KeyLogWriter"},
	} {
		c, _ := config(t, ports.Request)
		c.TLS = row.settings
		if _, err := ports.New(c); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
	}
}

// The settings take effect in the handshake. They do not change how clients are verified.
func TestTLSIsHonoured(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		settings *tls.Config
		client   *tls.Config
		check    func(tls.ConnectionState) bool // nil: there is no connection
	}{
		"cipher suite":           {&tls.Config{CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}, &tls.Config{MaxVersion: tls.VersionTLS12}, func(s tls.ConnectionState) bool { return s.CipherSuite == tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 }},
		"another suite":          {&tls.Config{CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}, nil},
		"curve":                  {&tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP384}}, &tls.Config{}, func(s tls.ConnectionState) bool { return s.CurveID == tls.CurveP384 }},
		"another curve":          {&tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP384}}, &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP256}}, nil},
		"lowest version":         {&tls.Config{MinVersion: tls.VersionTLS13}, &tls.Config{MaxVersion: tls.VersionTLS12}, nil},
		"highest version":        {&tls.Config{MaxVersion: tls.VersionTLS12}, &tls.Config{}, func(s tls.ConnectionState) bool { return s.Version == tls.VersionTLS12 }},
		"a protocol, last":       {&tls.Config{NextProtos: []string{"x/1", "h2"}}, &tls.Config{NextProtos: []string{"x/1", "http/1.1"}}, func(s tls.ConnectionState) bool { return s.NegotiatedProtocol == "http/1.1" }},
		"a protocol, alone":      {&tls.Config{NextProtos: []string{"x/1"}}, &tls.Config{NextProtos: []string{"x/1"}}, func(s tls.ConnectionState) bool { return s.NegotiatedProtocol == "x/1" }},
		"no setting for ACME":    {&tls.Config{NextProtos: []string{"x/1"}}, &tls.Config{NextProtos: []string{"acme-tls/1"}}, nil},
		"no settings, no TLS":    {nil, &tls.Config{NextProtos: []string{"x/1"}}, nil},
		"with no setting at all": {nil, &tls.Config{}, func(s tls.ConnectionState) bool { return s.Version == tls.VersionTLS13 }},
	} {
		for who, holder := range map[string]*testpki.Pair{"alice": alice, "a stranger": otherCA.Leaf("alice")} {
			c, e := config(t, ports.Require)
			c.TLS = row.settings
			l, err := newPort(t, c).Listen(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			own := row.client.Clone()
			own.RootCAs, own.ServerName, own.Certificates = serverCA.Pool(), "localhost", []tls.Certificate{holder.TLS()}
			conn, err := tls.Dial("tcp", l.Addr().String(), own)
			if conn != nil {
				h := e.of(t, conn.LocalAddr())
				if got, want := h.Err == nil, who == "alice"; got != want {
					t.Errorf("%s, %s: the event has %v, want an error for a stranger only", name, who, h.Err)
				}
				if row.check != nil && !row.check(conn.ConnectionState()) {
					t.Errorf("%s: the setting has no effect on %+v", name, conn.ConnectionState())
				}
				conn.Close()
			}
			if refused := err != nil; who == "alice" && refused != (row.check == nil) {
				t.Errorf("%s: got %v, want a refusal: %t", name, err, row.check == nil)
			}
			l.Close()
		}
	}
}

// Without session tickets no handshake resumes.
func TestTLSWithoutSessions(t *testing.T) {
	t.Parallel()
	for _, off := range []bool{false, true} {
		c, _ := config(t, ports.Require)
		c.TLS = &tls.Config{SessionTicketsDisabled: off}
		url := serveOwn(t, newPort(t, c), &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
		})})
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: serverCA.Pool(), Certificates: []tls.Certificate{alice.TLS()}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}}
		resumed := false
		for range 2 {
			res, err := (&http.Client{Transport: transport}).Get(url)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			resumed = res.TLS.DidResume
		}
		if resumed == off {
			t.Errorf("tickets disabled: %t, resumed: %t", off, resumed)
		}
	}
}

// A CA validates a name on a port that requires certificates: it gets the certificate for the
// challenge, and nothing else. No handler sees its connection.
func TestChallengeOfACMEReachesNoHandler(t *testing.T) {
	t.Parallel()
	challenge := testpki.NewCA("challenge").Server().TLS()
	for _, mode := range []ports.ClientAuth{ports.None, ports.Request, ports.Require} {
		c, e := config(t, mode)
		c.TLS = &tls.Config{NextProtos: []string{"acme-tls/1"}}
		c.Certificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if slices.Contains(hello.SupportedProtos, "acme-tls/1") {
				return &challenge, nil
			}
			return &server, nil
		}
		p := newPort(t, c)
		l, err := p.Listen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan net.Conn, 1)
		go func() {
			if c, err := l.Accept(); err == nil {
				accepted <- c
			}
		}()
		dial := func(protos ...string) (*tls.Conn, error) {
			return tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: protos})
		}
		conn, err := dial("acme-tls/1")
		if err != nil {
			t.Fatalf("%s: the handshake of the challenge: %v", mode, err)
		}
		cs := conn.ConnectionState()
		if cs.NegotiatedProtocol != "acme-tls/1" || !slices.Equal(cs.PeerCertificates[0].Raw, challenge.Certificate[0]) {
			t.Errorf("%s: protocol %q, certificate %s", mode, cs.NegotiatedProtocol, cs.PeerCertificates[0].Subject)
		}
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if data, _ := io.ReadAll(conn); len(data) > 0 {
			t.Errorf("%s: the port answered %q", mode, data)
		}
		h := e.of(t, conn.LocalAddr())
		if h.Err == nil || h.Reason != "" || !strings.Contains(h.Err.Error(), "tls-alpn-01") {
			t.Errorf("%s: reported as %q, %v", mode, h.Reason, h.Err)
		}
		select {
		case <-accepted:
			t.Errorf("%s: the connection was accepted", mode)
		default:
		}
		conn.Close()
		// With a second protocol it is no challenge (RFC 8737 section 3), but an ordinary client.
		if conn, err := dial("acme-tls/1", "http/1.1"); err == nil {
			if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
				t.Errorf("%s: a client with two protocols got %q, want %q", mode, got, "http/1.1")
			}
			if mode == ports.Require {
				_, err := conn.Read(make([]byte, 1))
				if err == nil || !strings.Contains(err.Error(), "certificate required") {
					t.Errorf("a client with two protocols and no certificate: %v", err)
				}
			}
			conn.Close()
		}
		l.Close()
	}
}
