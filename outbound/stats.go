package outbound

// Stats are counts of a Transport.
type Stats struct {
	Pools    int   // pools that take calls: one for each identity, protocol and proxy in use
	Retiring int   // pools that take no more calls and finish those in progress
	InFlight int   // calls of Pools, until their bodies are closed
	Evicted  int64 // pools that were retired since New because of MaxPools; if it grows steadily, MaxPools is too small
}

// Stats returns the current counts. It is safe for concurrent use.
func (t *Transport) Stats() Stats {
	s := Stats{Retiring: int(t.retiring.Load()), Evicted: t.evicted.Load()}
	for _, p := range *t.roots.Load().pools.Load() {
		s.Pools++
		s.InFlight += int(p.inFlight.Load())
	}
	return s
}
