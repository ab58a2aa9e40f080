// Package schematest holds the tests of the JSON Schemas in docs: every configuration that
// mtlsguard loads is valid there, and the schemas have exactly the keys that mtlsguard reads.
// It is a module of its own, so that the validator is no dependency of mtlsguard.
package schematest
