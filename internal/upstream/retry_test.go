package upstream_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/identitykey"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/upstream"
)

// A request is sent again only if a second time does no harm, and only if nothing of its body has
// been read: the service then gets the whole body.
// Covers Y3.
func TestRequestsAreRepeatedWithoutHarm(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, method, body string
		reads              int // bytes of the body, at the first attempt
		err                error
		sent, status       int
	}{
		{"GET", "GET", "", 0, io.EOF, 2, 204},
		{"POST", "POST", "", 0, io.EOF, 1, 502},
		{"PATCH", "PATCH", "", 0, io.EOF, 1, 502},
		{"PUT with a body that was not read", "PUT", "hello", 0, io.EOF, 2, 204},
		{"PUT with a body that was read in part", "PUT", "hello", 1, io.EOF, 1, 502},
		{"PUT with a body that was read", "PUT", "hello", 5, io.EOF, 1, 502},
		{"GET with a body that was read", "GET", "hello", 5, io.EOF, 1, 502},
		{"a timeout", "GET", "", 0, context.DeadlineExceeded, 1, 504},
		{"an error of the certificate", "DELETE", "", 0, errors.New("x509"), 2, 204},
	} {
		sent, got := 0, ""
		u := upstream.New(upstream.Config{Scheme: "http", Host: "service", Headers: defaults, Idle: testkit.Patience, Timeout: testkit.Patience, Requests: 1, Retries: 1,
			Via: roundTrip(func(r *http.Request) (*http.Response, error) {
				if sent++; sent == 1 {
					if row.reads > 0 {
						_, _ = io.ReadFull(r.Body, make([]byte, row.reads))
					}
					return nil, row.err
				}
				if r.Body != nil {
					body, err := io.ReadAll(r.Body)
					if got = string(body); err != nil {
						t.Errorf("%s: %v", row.name, err)
					}
				}
				return &http.Response{StatusCode: 204, Body: http.NoBody, Request: r, Header: http.Header{}}, nil
			})})
		w, r := httptest.NewRecorder(), httptest.NewRequest(row.method, "/", strings.NewReader(row.body))
		u.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identitykey.Key{}, &identity.Identity{User: "alice"})))
		if sent != row.sent || w.Code != row.status || row.sent == 2 && got != row.body {
			t.Errorf("%s: sent %d times, status %d, the service got %q", row.name, sent, w.Code, got)
		}
	}
}

// A request that is sent again has a token of its own, and no token of its caller: a service that accepts a jti once
// would refuse it otherwise.
// Covers Y13.
func TestEachAttemptHasATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	var got []string
	u := upstream.New(upstream.Config{Scheme: "http", Host: "service", Headers: signed, Tokens: signer(), Idle: testkit.Patience, Timeout: testkit.Patience, Requests: 1, Retries: 2,
		Via: roundTrip(func(r *http.Request) (*http.Response, error) {
			got = append(got, strings.Join(r.Header["X-Mtlsguard-Token"], " and "))
			return nil, io.EOF
		})})
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Mtlsguard-Token", "forged")
	u.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identitykey.Key{}, &identity.Identity{User: "alice"})))
	if len(got) != 3 || got[0] == got[1] || got[1] == got[2] {
		t.Errorf("got %q", got)
	}
	for _, one := range got {
		if strings.Count(one, ".") != 2 || strings.Contains(one, " ") {
			t.Errorf("%q is not one token", one)
		}
	}
}
