package ports

import (
	"crypto/tls"
	"reflect"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// The tls.Config of a port has these fields set in every configuration, and all others at
// their zero value.
// Covers A16, L10.
func TestTLSConfigOfEveryMode(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	v, err := trust.New(trust.Config{Anchors: ca.Presented()})
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{"MinVersion": true, "NextProtos": true, "GetCertificate": true, "VerifyConnection": true, "ClientAuth": true, "ClientCAs": true}
	for _, row := range []struct {
		mode ClientAuth
		want tls.ClientAuthType
	}{{None, tls.NoClientCert}, {Request, tls.RequestClientCert}, {Require, tls.RequireAnyClientCert}} {
		c := Config{Name: "p", Addr: "127.0.0.1:0", ClientAuth: row.mode, Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }}
		if row.mode != None {
			c.Trust = v
		}
		p, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		check := func(when string) {
			config := p.state.Load().tls
			if config.ClientAuth != row.want || config.MinVersion != tls.VersionTLS12 || config.VerifyConnection == nil {
				t.Errorf("%v, %s: got %v and version %x, want %v, TLS 1.2 and VerifyConnection", row.mode, when, config.ClientAuth, config.MinVersion, row.want)
			}
			if p.Config().ClientAuth != row.mode || p.Config().Trust != c.Trust {
				t.Errorf("%v, %s: Config returns %v", row.mode, when, p.Config().ClientAuth)
			}
			if config.KeyLogWriter != nil {
				t.Error("keys are logged")
			}
			// In particular GetConfigForClient, VerifyPeerCertificate and InsecureSkipVerify are zero.
			for i, all := 0, reflect.ValueOf(config).Elem(); i < all.NumField(); i++ {
				if f := all.Type().Field(i); f.IsExported() && !allowed[f.Name] && !all.Field(i).IsZero() {
					t.Errorf("%v, %s: %s is set", row.mode, when, f.Name)
				}
			}
		}
		check("new")
		c.Limits.Streams, c.HideAuthorities, c.CancelRequests = 7, true, true
		c.Limits.ConnectionAge = time.Minute
		if err := p.Reconfigure(c); err != nil {
			t.Fatal(err)
		}
		check("reconfigured")
	}
}

// The event of a handshake has no field that could hold a key.
// Covers L10.
func TestHandshakeTypeHoldsNoKeys(t *testing.T) {
	t.Parallel()
	harmless := map[string]bool{
		"Port": true, "Remote": true, "Proxy": true, "ServerName": true, "Reason": true, "Err": true, "Presented": true, "Version": true, "Resumed": true, "Probe": true, "Duration": true,
	}
	for f := range reflect.TypeFor[Handshake]().Fields() {
		if !harmless[f.Name] {
			t.Errorf("%s is new: is it a secret, or could it hold one?", f.Name)
		}
	}
}
