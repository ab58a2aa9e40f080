package outbound_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/outbound"
)

// 100 identities and calls without one make 10,000 calls each (with -full), interleaved, a
// quarter of them on each pair of protocols, while certificates are renewed, connections
// closed and pools evicted. The server always sees the chosen identity, with a certificate
// that was current when the call was made.
// Covers J1.
func TestInterleavedCallsPresentTheirOwnCertificate(t *testing.T) {
	t.Parallel()
	identities, calls := 20, 30
	if *full {
		identities, calls = 100, 10_000/len(versions)
	}
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			w := newFixture(t)
			w.config.OnHandshake = nil
			w.config.MaxPools = identities // one too few, so that pools are evicted
			s := serve(t, func(rw http.ResponseWriter, r *http.Request) {
				io.WriteString(rw, clientName(r))
				if len(r.TLS.PeerCertificates) > 0 {
					fmt.Fprint(rw, " ", r.TLS.PeerCertificates[0].SerialNumber)
				}
			}, v.options...)
			names := make([]string, identities+1)
			current := make([]atomic.Int64, identities) // the current serial number by identity
			for i := range identities {
				names[i] = "client-" + strconv.Itoa(i)
				current[i].Store(1)
				w.put(w.credential(names[i], clientCA.Leaf(names[i], serial(1))))
			}
			names[identities] = "anonymous"
			transport := w.transport()
			c := &http.Client{Transport: transport}

			stop := make(chan struct{})
			var rotation sync.WaitGroup
			var rotated int64
			rotation.Go(func() {
				for n := int64(2); ; n++ {
					select {
					case <-stop:
						return
					case <-time.After(20 * time.Millisecond):
					}
					i := rand.IntN(identities)
					next := w.credential(names[i], clientCA.Leaf(names[i], serial(n)))
					w.put(next)
					current[i].Store(n)
					rotated++
					if n%64 == 0 {
						transport.CloseIdleConnections()
					}
				}
			})

			var left, wrong, stale, failed atomic.Int64
			left.Store(int64(len(names) * calls))
			var workers sync.WaitGroup
			for range 16 {
				workers.Go(func() {
					for left.Add(-1) >= 0 {
						i := rand.IntN(len(names))
						ctx, want := outbound.AsNobody(context.Background()), "anonymous"
						least := int64(0)
						if i < identities {
							ctx, want, least = outbound.As(context.Background(), names[i]), names[i], current[i].Load()
						}
						got, err := get(ctx, c, s.URL)
						var seen string
						var number int64
						fmt.Sscan(got, &seen, &number)
						switch {
						case err != nil:
							failed.Add(1)
							t.Log(err)
						case seen != want:
							wrong.Add(1)
						case number < least:
							stale.Add(1)
						}
					}
				})
			}
			workers.Wait()
			close(stop)
			rotation.Wait()
			t.Logf("%d calls, %d rotations, %d connections, %+v: %d with a wrong certificate, %d with an old one, %d failed",
				len(names)*calls, rotated, s.conns.Load(), transport.Stats(), wrong.Load(), stale.Load(), failed.Load())
			if wrong.Load()+stale.Load()+failed.Load() > 0 || rotated == 0 {
				t.Errorf("log of the server:\n%s", &s.log)
			}
			if got := transport.Stats(); got.InFlight != 0 || got.Retiring != 0 {
				t.Errorf("got %+v, want idle pools", got)
			}
		})
	}
}
