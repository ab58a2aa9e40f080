package crlfetch

import (
	"crypto/x509"
	"time"
)

// UntilNext exports the schedule for the external tests.
func (f *Fetcher) UntilNext(list *x509.RevocationList) time.Duration { return f.untilNext(list) }

// ReadHead reads a list without its entries.
func ReadHead(der []byte) (*x509.RevocationList, error) { return readHead(der) }

func Jitter(d time.Duration) time.Duration { return jitter(d) }
