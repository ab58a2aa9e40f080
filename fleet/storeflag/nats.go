package storeflag

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/source"
	natsstore "github.com/mtlsguard/mtlsguard/store/nats"
)

func init() { Openers["nats"], Openers["tls"] = openNATS, openNATS }

// natsStore is a store in NATS that the command can prune.
type natsStore struct{ *natsstore.Store }

// openNATS opens a store in NATS.
func openNATS(_ context.Context, f *Flags, fleet string) (source.Store, func(), error) {
	var options []nats.Option
	if f.StoreCreds != "" {
		options = append(options, nats.UserCredentials(f.StoreCreds))
	}
	if f.StoreCacert != "" {
		options = append(options, nats.RootCAs(f.StoreCacert))
	}
	if err := f.checkPair(); err != nil {
		return nil, nil, err
	}
	if f.StoreCert != "" {
		options = append(options, nats.ClientCert(f.StoreCert, f.StoreKey))
	}
	s, err := natsstore.Open(natsstore.Config{URL: f.Store, Fleet: fleet, Replicas: f.StoreReplicas, Options: options})
	if err != nil {
		return nil, nil, console.UsageError("--store: "+err.Error(), "nats://HOST, or tls://HOST with --store-cacert, and --fleet NAME")
	}
	return natsStore{s}, s.Close, nil
}

// Prune removes old generations.
func (s natsStore) Prune(ctx context.Context, keep int, younger time.Duration) (int, error) {
	return s.Store.Prune(ctx, natsstore.Retention{Keep: keep, Younger: younger})
}
