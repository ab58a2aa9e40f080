package main

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// The probes have a port of their own. It answers nothing else, and it closes with the server.
func TestProbesHaveAPortOfTheirOwn(t *testing.T) {
	t.Parallel()
	probes := testkit.FreeAddress(t)
	s := plainSite(t, "-probes", probes)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]string{"/ready": "200 ready\n", "/live": "200 live\n", "/whoami": "404 404 page not found\n", "/": "404 404 page not found\n"} {
		res, err := client.Get("http://" + probes + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if got := res.Status[:4] + string(body); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	s.stop()
	testkit.Eventually(t, "the probes end", func() bool {
		res, err := client.Get("http://" + probes + "/live")
		if err == nil {
			res.Body.Close()
		}
		return err != nil
	})
}

// An address that cannot be opened ends the program before a port is open.
func TestProbesThatCannotBeServedAreAnError(t *testing.T) {
	t.Parallel()
	s := plainSite(t)
	for addr, want := range map[string]int{"": exitInvalid, "127.0.0.1": exitFailed, s.addr["internal"]: exitFailed} {
		out := &testkit.Buffer{}
		if got := run(context.Background(), []string{"-probes", addr}, out, out); got != want {
			t.Errorf("-probes %q: status %d, want %d\n%s", addr, got, want, out)
		}
	}
}
