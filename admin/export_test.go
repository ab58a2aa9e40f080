package admin

// APIRoutes returns the patterns of the API, for the test of openapi.yaml.
func APIRoutes() []string {
	var out []string
	for _, r := range apiRoutes {
		out = append(out, r.pattern)
	}
	return out
}
