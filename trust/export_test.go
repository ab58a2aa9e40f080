package trust

import "time"

// ValidAt is validAt for tests.
func (v Verified) ValidAt(t time.Time) bool { return v.validAt(t) }
