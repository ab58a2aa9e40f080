package postgres_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/store/postgres"
)

// BenchmarkServers measures from the beginning of a commit until it is in effect on 100 servers in this process: each verifies
// the signature, writes the files to its disk and reloads.
func BenchmarkServers(b *testing.B) {
	const n = 100
	s := &site{TB: b, cluster: postgres.OwnCluster(b), clients: testpki.NewCA("Client CA"), servers: testpki.NewCA("Server CA")}
	_, s.key, _ = ed25519.GenerateKey(nil)
	s.database = s.cluster.Database(b)
	s.editor = postgres.New(s.cluster.Pool(b, s.database, "postgres"), "orders")
	s.commit("alice")
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var servers []*mtlsguard.Server
	for i := range n {
		store := postgres.New(s.cluster.Pool(b, s.database, "postgres"), "orders")
		server, err := mtlsguard.Open(filepath.Join(s.folder(i), "mtlsguard.yaml"), mtlsguard.Options{Source: store})
		if err != nil {
			b.Fatal(err)
		}
		servers = append(servers, server)
		server.Handler(http.NotFoundHandler())
		running.Go(func() {
			defer store.Close()
			if err := server.Run(ctx); err != nil {
				b.Error(err)
			}
		})
	}
	defer running.Wait()
	defer stop()
	time.Sleep(2 * time.Second) // all listen
	var each []time.Duration
	for b.Loop() {
		began := time.Now()
		s.commit("alice", fmt.Sprintf("user-%d", s.newest.Manifest.Number))
		want := s.newest.Manifest.Number
		waiting := slices.Clone(servers)
		for len(waiting) > 0 {
			waiting = slices.DeleteFunc(waiting, func(server *mtlsguard.Server) bool {
				if server.Status().Source.Number != want {
					return false
				}
				each = append(each, time.Since(began))
				return true
			})
			time.Sleep(5 * time.Millisecond)
		}
	}
	slices.Sort(each)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(each[len(each)/2]), "p50-ms")
	b.ReportMetric(ms(each[len(each)*99/100]), "p99-ms")
	b.ReportMetric(ms(each[len(each)-1]), "last-ms")
}
