package wire_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
)

func TestRegistrationIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	want := wire.Registration{Services: []string{"orders", "billing-2.example"}, Streams: 250}
	r, err := want.Request("gateway.example:8444")
	if err != nil {
		t.Fatal(err)
	}
	if r.Method != http.MethodPost || r.URL.Path != wire.RegisterPath || r.Header.Get("Upgrade") != wire.Protocol {
		t.Errorf("the request is %s %s with %v", r.Method, r.URL, r.Header)
	}
	got, err := wire.ReadRegistration(r.Header)
	if err != nil || got.Streams != want.Streams || !slices.Equal(got.Services, want.Services) {
		t.Errorf("read %+v, %v; want %+v", got, err, want)
	}
}

func FuzzRegistration(f *testing.F) {
	f.Add("orders,billing", "250")
	f.Add("orders, billing", "0250")
	f.Add("", "0")
	f.Add("a,a", "4097")
	f.Fuzz(func(t *testing.T, services, streams string) {
		got, err := wire.ReadRegistration(http.Header{wire.HeaderServices: {services}, wire.HeaderStreams: {streams}})
		if err != nil {
			if len(got.Services) > 0 {
				t.Errorf("%q with an error", got.Services)
			}
			return
		}
		if strings.Join(got.Services, ",") != services || got.Streams < 1 || got.Streams > wire.MaxStreams {
			t.Errorf("%q %q was read as %+v", services, streams, got)
		}
		for _, s := range got.Services {
			if !wire.ValidName(s) {
				t.Errorf("%q is not a valid name", s)
			}
		}
	})
}
