package e2e

// pageErrorRows are errors in the blocks admin and metrics.
var pageErrorRows = []configErrorRow{
	{"admin is a text", more(config, "admin: internal\n"), config, added, "admin is not a mapping"},
	{"unknown key of admin", more(config, "admin: {port: internal, edti: true}\n"), config, added, `unknown key "edti"`},
	{"admin without port", more(config, "admin: {edit: true}\n"), config, added, "admin has no port"},
	{"admin on a port that is none", more(config, "admin: {port: admin}\n"), config, added, `admin: "admin" is not a port`},
	{"admin edits perhaps", more(config, "admin: {port: internal, edit: perhaps}\n"), config, added, "edit"},
	{"unknown key of metrics", more(config, "metrics: {port: internal, url: /metrics}\n"), config, added, `unknown key "url"`},
	{"metrics on every path", more(config, "metrics: {port: internal, path: /}\n"), config, added, `path: "/" is not the path of a page`},
	{"metrics below a path", more(config, "metrics: {port: internal, path: /metrics/}\n"), config, added, `is not the path of a page`},
	{"metrics with a query", more(config, "metrics: {port: internal, path: '/metrics?all'}\n"), config, added, `is not the path of a page`},
	{"metrics with an escape", more(config, "metrics: {port: internal, path: /metric%73}\n"), config, added, `is not the path of a page`},
	{"metrics on the path of tokens", more(config, "metrics: {port: internal, path: /.well-known/jwks.json}\n"), config, added, `is that of the keys of tokens`},
	{"a signed header without tokens", upstreamOf(`{url: "http://127.0.0.1:8080", headers: {signed: X-Caller-Token}}`), config, 12, "headers: signed needs tokens"},
	{"tokens without a signed header", more(config, "tokens: {port: internal}\n"), config, added, "tokens has no effect"},
	{"unknown key of tokens", more(config, "tokens: {port: internal, kee: k.pem}\n"), config, added, `unknown key "kee"`},
	{"metrics with an upstream", func(s *site) {
		upstreamOf(`{url: "http://127.0.0.1:8080"}`)(s)
		more(config, "metrics: {port: internal}\n")(s)
	}, config, 22, `metrics: port "internal" has upstream`},
}
