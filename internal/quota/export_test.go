package quota

// SetMax sets the bound of a table without buckets.
func (t *Buckets) SetMax(n int) { t.max = n }

// Len returns the number of buckets.
func (t *Buckets) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}
