package mtlsguardtest

import "time"

// StartWithin is an Option: the server has this time to open its ports.
func StartWithin(d time.Duration) Option { return func(s *setup) { s.startWithin = d } }

// EndWithin is an Option: the server has this time to end.
func EndWithin(d time.Duration) Option { return func(s *setup) { s.endWithin = d } }
