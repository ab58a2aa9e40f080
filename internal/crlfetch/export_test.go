package crlfetch

import (
	"crypto/x509"
	"time"
)

// UntilNext and Jitter are the schedule, which takes hours to see from outside.
func (f *Fetcher) UntilNext(list *x509.RevocationList) time.Duration { return f.untilNext(list) }

func Jitter(d time.Duration) time.Duration { return jitter(d) }
