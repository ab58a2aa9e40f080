package admin

import "time"

// APIRoutes returns the patterns of the API, for the test of openapi.yaml.
func APIRoutes() []string {
	var out []string
	for _, r := range apiRoutes {
		out = append(out, r.pattern)
	}
	return out
}

// SetStoreTime sets how long a page waits for the store of a fleet.
func SetStoreTime(p *Page, d time.Duration) { p.asking.time = d }
