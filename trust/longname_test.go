package trust_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
)

// A name of thousands of attributes in a stranger's certificate costs no more than the rest of
// the handshake, however many anchors there are.
// Covers H22.
func TestLongIssuerNameIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	var anchors certs
	for i := range 100 {
		anchors = append(anchors, testpki.NewCA(fmt.Sprint("Root ", i)).Cert)
	}
	v := trusting(t, anchors...)
	attributes := slices.Repeat([]string{"X="}, 700)
	foreign := testpki.NewCA("", func(c *x509.Certificate) { c.RawSubject = rawName(t, 12, attributes...) })
	presented := certs{foreign.Leaf("mallory").Cert}
	for range 3 {
		other := testpki.NewCA("", func(c *x509.Certificate) { c.RawSubject = rawName(t, 12, append(attributes, "X=y")...) })
		presented = append(presented, other.Cert)
	}
	var err error
	took := testkit.ProcessorTime(t, func() { _, err = v.Verify(context.Background(), presented) })
	if reasonOf(t, err) != reason.UnknownAuthority || !strings.Contains(err.Error(), `"a name of 700 attributes"`) {
		t.Errorf("got %v", err)
	}
	if took > 500*time.Millisecond { // it took 2 s, and takes some milliseconds
		t.Errorf("the refusal took %v", took)
	}
}
