package main

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// A renewed certificate gets a mapping like that of the earlier one, which the log names. Where that mapping is
// disabled, ended or removed, no hint names its user.
func TestRenewedCertificateGetsTheMappingOfTheEarlierOne(t *testing.T) {
	t.Parallel()
	n := newNight(t)
	n.start()
	if a := n.send(partnerCall); a.status != 200 {
		t.Fatal(a)
	}
	n.renew(testpki.NewKey())
	n.collect(n.send(partnerCall), nil)
	users := n.get("users.yaml")
	for _, row := range []struct{ name, old, replacement, want string }{
		{"in effect", "", "", "--user partner"},
		{"for a port", "user: partner,", "user: partner, ports: [internal],", "--user partner --ports internal"},
		{"with an end", "user: partner,", "user: partner, not_after: 2099-01-31,", "--user partner --not-after 2099-01-31T00:00:00Z"},
		{"disabled", "user: partner,", "user: partner, disabled: true,", "--user NAME"},
		{"ended", "user: partner,", "user: partner, not_after: 2025-01-01,", "--user NAME"},
		{"of another user", "user: partner,", "user: other,", "--user NAME"},
		{"removed", "{id: partner, user: partner,", "{id: other, user: partner,", "--user NAME"},
	} {
		n.put("users.yaml", strings.Replace(users, row.old, row.replacement, 1))
		output, _, _ := n.shell(n.expand(explainReference))
		if !strings.Contains(output, "users add --config mtlsguard.yaml --fingerprint "+n.vars["$FINGERPRINT"]+" "+row.want+"\n") {
			t.Errorf("%s: no %q in\n%s", row.name, row.want, output)
		}
		if row.want == "--user NAME" && strings.Contains(output, "was user partner") {
			t.Errorf("%s: the hint names the user", row.name)
		}
		for _, p := range pastings(output, "Map the new one too") {
			n.paste(p, nil)
			if !strings.Contains(n.get("users.yaml"), n.vars["$FINGERPRINT"]) {
				t.Errorf("%s: not added", row.name)
			}
		}
	}
}
