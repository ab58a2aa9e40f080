package forwarded

import (
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// Named makes a Topology from words, for a configuration file. The formats are
// rfc9440, nginx, haproxy, apache, caddy, traefik, envoy, aws-alb,
// azure-app-service, google-cloud, cloudflare and webmethods.
//
// An empty header is the usual one of the format. An empty verifiedHeader looks at
// no such header; an empty verifiedValue is what the product says of a certificate
// that it believes. Every mistake is reported at once, with a hint that names what
// fits.
func ParseTopology(name, header, verifiedHeader, verifiedValue string) (Topology, error) {
	f := byName(name)
	if f == nil {
		names := make([]string, len(formats))
		for i, f := range formats {
			names[i] = f.name
		}
		return Topology{}, &configerror.Error{What: fmt.Sprintf("%q is no format", name), Hint: "one of " + strings.Join(names, ", ")}
	}
	t := f.topology(header, verifiedHeader)
	var wrong errorlist.List
	wrong.Merge(t.wrong, configerror.Error{})
	say := func(what, hint string) { wrong.Add(configerror.Error{What: what, Hint: hint}) }
	switch {
	case verifiedHeader == "" && verifiedValue == "":
	case verifiedHeader == "":
		say(fmt.Sprintf("the value %q has no header to stand in", verifiedValue), "verified: {header: X-SSL-Client-Verify, value: SUCCESS}")
	case !f.marks:
		say("format "+f.name+" has no header that says whether the gateway verified", "leave verified out, or format: nginx, haproxy, apache, google-cloud, cloudflare, rfc9440")
	case verifiedValue != "":
		if !printable(verifiedValue) {
			say(fmt.Sprintf("%q is nothing that a gateway says", verifiedValue), "exactly what the gateway sends, such as SUCCESS")
		}
		t.yes = verifiedValue
	case f.yes == "":
		say("format "+f.name+" has no usual word for a certificate that was verified", "verified: {header: X-SSL-Client-Verify, value: SUCCESS} with what your gateway sends")
	}
	if verifiedValue != "" && verifiedValue == f.none {
		say(fmt.Sprintf("%q is what the gateway says of no certificate", verifiedValue), "value: "+f.yes)
	}
	if err := wrong.Err(); err != nil {
		return Topology{}, err
	}
	return t, nil
}

func byName(name string) *format {
	for _, f := range formats {
		if f.name == name {
			return f
		}
	}
	return nil
}

// printable is what stands in a header as it stands here.
func printable(value string) bool {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return strings.TrimSpace(value) == value && len(value) <= 256
}
