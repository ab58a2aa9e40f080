// Package guardspiffe gets the certificate of this workload, and the trust anchors of its callers,
// from the SPIFFE Workload API: from the agent of SPIRE, for example. Nothing is written to disk.
//
//	source, err := guardspiffe.New(ctx, guardspiffe.Config{})
//	defer source.Close()
//	server, err := mtlsguard.OpenFS(source.Files(os.DirFS("."), "spiffe"), "mtlsguard.yaml", mtlsguard.Options{
//		Certificates: map[string]func(*tls.ClientHelloInfo) (*tls.Certificate, error){"internal": source.GetCertificate},
//	})
//
// The port internal presents the SVID, and the file names the bundle of each trust domain:
//
//	trust:
//	  trust_domains:
//	    - {name: acme.example, anchors: [spiffe/acme.example.pem]}
//
// A program without a file uses GetCertificate for ports.Config.Certificate, and Follow with
// trust.Config.TrustDomains. In both ways a bundle verifies only certificates of its own trust
// domain (X509-SVID section 5), so a federated domain cannot issue the IDs of another one. Keystore
// is for outgoing calls with the SVID.
//
// While the agent is away the last SVID and bundles stay in effect. An SVID that has expired is not
// presented. A bundle that the agent no longer sends verifies nothing from then on.
package guardspiffe
