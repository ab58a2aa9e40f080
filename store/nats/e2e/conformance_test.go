package e2e

import (
	"testing"

	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
	natsstore "github.com/mtlsguard/mtlsguard/store/nats"
)

func TestTheStoreKeepsItsPromises(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) source.Store {
		return open(t, natsstore.Config{URL: newEngine(t).url(), Fleet: sourcetest.Fleet})
	})
}
