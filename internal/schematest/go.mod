module github.com/mtlsguard/mtlsguard/internal/schematest

go 1.26.6

require (
	github.com/mtlsguard/mtlsguard v0.0.0
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.2
	go.yaml.in/yaml/v3 v3.0.6
)

require (
	github.com/dunglas/httpsfv v1.1.2 // indirect
	github.com/patrickmn/go-cache v2.1.0+incompatible // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace github.com/mtlsguard/mtlsguard => ../..
