// Package importer turns the mappings and access lists of other programs into users.yaml,
// policy.csv, ports.yaml and a report. A format is a package below this one, such as csvfile.
//
// # The rules of every format
//
// The result is never wider than the source. What cannot be carried exactly is left out and
// reported by its line. If leaving it out would let a caller in, because it is a denial or a
// condition, Line.Limit stops the import, or makes the format leave the grants out that it
// limits.
//
// # How to add a format
//
// 1. A package internal/importer/NAME with
//
//	func Read(in *importer.Import, names []string, o Options) error
//
// It reads its files with in.ReadFile, or with in.Inside for a file that the source names. An
// error is for a source that cannot be read at all. Everything else becomes a Line:
//
//	l := in.Line(importer.Place{File: name, Line: 3}, `alice CN=alice`) // the source's text, without secrets
//	user, ok := l.User("alice")        // renames; reports a name that is not a user name
//	issuer, ok := l.Issuer(nil)        // or of a certificate: which authority must have issued it
//	l.Map(importer.Mapping{User: user, Kind: "subject", Value: "CN=alice,O=Acme", Issuer: issuer})
//	l.Rule(policy.Rule{Subject: "user:alice", Port: "*", Method: "GET", Path: "/x", Effect: policy.Allow})
//	l.Member("user:alice", "group:staff")
//	l.Port(importer.Port{Name: "partner", Listen: ":8443", ClientCert: "require"})
//	l.Skip("why it is not carried", "what to do")
//	l.Change("what is different here")
//	l.Carry("what holds here without a line, such as: refused")
//	if !l.Limit("a denial that cannot be carried", "what to do") { … } // true: --narrow; leave its grants out
//	in.Remark("a difference that concerns every line")
//	in.Expect(importer.Expectation{User: "alice", Port: "*", Method: "GET", Path: "/x", Allow: true})
//
// Map, Rule, Member and Port check what they add, and report what does not load: a grant by
// Skip, a denial by Limit. in.Certificates finds certificates of --certs by their digests and
// files; in.NewKeys finds the mappings of a text by which another program looks a certificate up,
// such as OpenSSLKey, SlashKey and DigestKey; ParseCertificates reads certificates in texts. If
// the format can derive the user of a certificate in the source, it sets in.SourceUser: Finish
// then compares every certificate of --certs; in.SourceUsers is for several users of one. A format in which the first of two lines for one
// certificate decides sets in.FirstWins; without it neither is carried.
//
// 2. Tests with importertest.Run, and a fuzz target FuzzRead with importertest.Fuzz: no panic, and Finish must not return ErrDefect.
//
// 3. cmd/mtlsguard/importNAME.go: a struct that embeds importFlags, with Help and Run, and a field
// of importCmd in import.go. Its examples write to the folder imported and read clients, a folder
// with alice.pem, and files of cmd/mtlsguard/testdata/import; they exit with 0. A script
// testdata/script/import-NAME.txtar. A row in docs/import.md and CHANGELOG.md.
package importer
