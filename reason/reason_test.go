package reason_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/reason"
)

// reasons is the list that other programs rely on.
const reasons = "no-certificate unknown-authority expired not-yet-valid wrong-usage not-a-leaf weak-key revoked revocation-unknown too-large bad-certificate timeout limit address " +
	"untrusted-gateway bad-header bad-credentials unmapped ambiguous mapping-expired ambiguous-path misdirected no-port quota upstream no-rule denied policy-error"

func TestEachReasonHasAStatusAndATitle(t *testing.T) {
	t.Parallel()
	var got []string
	for _, r := range reason.All() {
		got = append(got, string(r))
		want := 403
		switch r {
		case reason.AmbiguousPath, reason.BadHeader:
			want = 400
		case reason.Misdirected:
			want = 421
		case reason.BadCredentials:
			want = 401
		case reason.Quota:
			want = 429
		case reason.NoPort:
			want = 500
		case reason.Upstream:
			want = 502
		case reason.PolicyError:
			want = 503
		}
		if r.Status() != want {
			t.Errorf("%s is %d, want %d", r, r.Status(), want)
		}
		if !r.Known() || r.Title() == "" || r.Title() == "Refused" {
			t.Errorf("%s: got %q", r, r.Title())
		}
	}
	if strings.Join(got, " ") != reasons {
		t.Errorf("the reasons are %v", got)
	}
	reason.All()[0] = "changed"
	if reason.All()[0] != reason.NoCertificate {
		t.Error("All returns the list itself")
	}
}

func TestUnknownReasonsAreRefusals(t *testing.T) {
	t.Parallel()
	for _, r := range []reason.Reason{"", "x", "Denied", "denied "} {
		if r.Known() || r.Status() != 403 || r.Title() != "Refused" {
			t.Errorf("%q: got %t %d %q, want Refused", r, r.Known(), r.Status(), r.Title())
		}
	}
}

// Each reason in a log is a heading of the page that explains it.
func TestEachReasonIsAHeadingOfTheDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	var headings []string
	for _, m := range regexp.MustCompile("(?m)^#+ `?([a-z-]+)`?$").FindAllStringSubmatch(string(page), -1) {
		headings = append(headings, m[1])
	}
	for _, r := range reason.All() {
		if !slices.Contains(headings, string(r)) {
			t.Errorf("docs/reasons.md has no heading %s", r)
		}
	}
	if len(headings) != len(reason.All()) {
		t.Errorf("%d headings for %d reasons: %v", len(headings), len(reason.All()), headings)
	}
}

func TestRefusalIsAnError(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	err := fmt.Errorf("x: %w", &reason.Refusal{Reason: reason.Expired, Detail: "yesterday", Err: cause})
	r, ok := errors.AsType[*reason.Refusal](err)
	if !ok || r.Reason != reason.Expired || !errors.Is(err, cause) || r.Error() != "expired: yesterday" {
		t.Errorf("got %v, want expired: yesterday", err)
	}
	if got := reason.Refuse(reason.Denied, "").Error(); got != "denied" {
		t.Errorf("got %q, want %q", got, "denied")
	}
}

func ExampleReason() {
	r := reason.Unmapped
	fmt.Println(r, r.Status(), r.Title())
	// Output: unmapped 403 The client certificate belongs to no user
}
