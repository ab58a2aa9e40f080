package forwarded

import (
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// ParseTopology returns the Topology of a format, for configuration files and for the
// products that have no constructor. The formats are rfc9440, nginx, haproxy, apache,
// caddy, traefik, envoy and webmethods, with the rules of the constructors, and:
//
//   - aws-alb: an AWS Application Load Balancer with mutual authentication in verify
//     mode. The header is X-Amzn-Mtls-Clientcert-Leaf; X-Amzn-Mtls-Clientcert reads the
//     chain of passthrough mode, which only Config.Users verifies. Without a certificate
//     the balancer sends no header. The balancer presents no certificate to its targets,
//     so it cannot be one of Gateways: put a proxy with a certificate in front of the
//     service that passes the header on and that only the balancer can reach. Anyone
//     else who reaches that proxy can forward any certificate.
//   - azure-app-service: Azure App Service with client certificates on. The header is
//     X-ARR-ClientCert. The service deletes the client's own header and verifies
//     nothing; Config.Users does. Without a certificate there is no header. As with
//     aws-alb, a proxy with a certificate of its own must stand in between.
//   - cloudflare: Cloudflare with client certificate forwarding on. The header is
//     Cf-Client-Cert-Der-Base64. Without a certificate there is no header. A zone also
//     forwards certificates that it could not verify; Config.Users verifies them.
//     verifiedHeader may be Cf-Cert-Verified, of the managed transform "Add TLS client
//     auth headers". Authenticated Origin Pulls with a certificate of your own makes
//     Cloudflare one of Gateways; with the certificate that all zones share, every
//     customer of Cloudflare could forward certificates.
//   - google-cloud: a Google Cloud Application Load Balancer with the custom headers
//     X-Client-Cert-Leaf:{client_cert_leaf}, X-Client-Cert-Chain:{client_cert_chain} and
//     X-Client-Cert-Chain-Verified:{client_cert_chain_verified}. The header is
//     X-Client-Cert-Leaf; the issuers are in the header of that name with -Chain in place
//     of -Leaf. The balancer replaces these headers of the client, and no others. It
//     leaves the leaf empty where there was no certificate, where the certificate is
//     above 16 KB, and where it failed: an empty leaf is refused. To let requests without
//     a certificate through, set the verified header to
//     {client_cert_present}:{client_cert_chain_verified} and verifiedValue to true:true;
//     then false:false reports that there was no certificate. In the mode REJECT_INVALID
//     such requests never arrive.
//
// An empty header means the format's default header. An empty verifiedHeader means that
// no such header is read; an empty verifiedValue means the value that the product sends
// for a verified certificate. All errors are reported at once, with hints in the keys of
// mtlsguard.yaml.
func ParseTopology(name, header, verifiedHeader, verifiedValue string) (Topology, error) {
	f := formatByName(name)
	if f == nil {
		names := make([]string, len(formats))
		for i, f := range formats {
			names[i] = f.name
		}
		return Topology{}, &configerror.Error{What: fmt.Sprintf("%q is not a format", name), Hint: "one of " + strings.Join(names, ", ")}
	}
	t := f.topology(header, verifiedHeader)
	var wrong errorlist.List
	wrong.Merge(t.wrong, configerror.Error{})
	if verifiedHeader != "" || verifiedValue != "" {
		if m := t.setVerified(verifiedHeader, verifiedValue); m.What != "" {
			wrong.Add(m)
		}
	}
	if verifiedValue != "" && verifiedValue == f.none {
		wrong.Add(configerror.Error{What: fmt.Sprintf("%q is the value for a request without a certificate", verifiedValue), Hint: "value: " + f.yes})
	}
	if err := wrong.Err(); err != nil {
		return Topology{}, err
	}
	return t, nil
}

// setVerified sets the value that the gateway sends for a verified certificate. It
// returns the zero Error where header and value fit the format.
func (t *Topology) setVerified(header, value string) configerror.Error {
	f := t.format
	if header == "" {
		return configerror.Error{What: fmt.Sprintf("the value %q has no header", value), Hint: "verified: {header: X-SSL-Client-Verify, value: SUCCESS}"}
	}
	if !f.marks {
		return configerror.Error{What: "format " + f.name + " has no header for the gateway's verification result",
			Hint: "remove verified, or use format: nginx, haproxy, apache, google-cloud, cloudflare or rfc9440"}
	}
	if value == "" {
		if f.yes == "" {
			return configerror.Error{What: "format " + f.name + " has no default value for a verified certificate",
				Hint: "verified: {header: X-SSL-Client-Verify, value: SUCCESS} with the value that your gateway sends"}
		}
		return configerror.Error{}
	}
	t.yes = value
	if !isHeaderValue(value) {
		return configerror.Error{What: fmt.Sprintf("%q is not a header value", value), Hint: "the exact value that the gateway sends, such as SUCCESS"}
	}
	return configerror.Error{}
}

func formatByName(name string) *format {
	for _, f := range formats {
		if f.name == name {
			return f
		}
	}
	return nil
}

// isHeaderValue reports whether value is printable ASCII without blanks around it, so that
// it arrives in a header unchanged.
func isHeaderValue(value string) bool {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return strings.TrimSpace(value) == value && len(value) <= 256
}
