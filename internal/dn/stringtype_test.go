package dn_test

import (
	"testing"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mtlsguard/mtlsguard/internal/dn"
)

func TestStringTypeThatIsNotReadIsNamed(t *testing.T) {
	t.Parallel()
	const why = ": a mapping matches PrintableString, UTF8String and IA5String only"
	for tag, want := range map[der.Tag]string{
		18: "OU in the subject is of the type NumericString", der.T61String: "OU in the subject is of the type T61String", 26: "OU in the subject is of the type VisibleString", 28: "OU in the subject is of the type UniversalString",
		30: "OU in the subject is of the type BMPString", der.OCTET_STRING: "OU in the subject is of the type OCTET STRING", der.INTEGER: "OU in the subject is of the type with the tag 2",
	} {
		_, err := dn.FromDER(name(each(o("Acme"), attribute{idOU, tag, "ab"}, cn("alice"))...))
		if err == nil || err.Error() != want+why {
			t.Errorf("tag %d: %v", tag, err)
		}
	}
	if _, err := dn.Parse("CN=#1e0061"); err == nil {
		t.Error("a BMPString is read from a mapping")
	}
}
