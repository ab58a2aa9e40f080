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

// The answers of the API, for tests that decode them.
type (
	Changes      = apiChanges
	Connection   = apiConnection
	Edited       = apiEdited
	Fleet        = apiFleet
	FleetChange  = apiFleetChange
	Hint         = apiHint
	Mapping      = apiMapping
	OCSP         = apiOCSP
	PortTrust    = apiPortTrust
	Refusal      = apiRefusal
	Reloaded     = apiReloaded
	SeriesReport = apiSeriesReport
	StatusReport = apiStatus
)
