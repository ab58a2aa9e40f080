package forwarded_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/forwarded"
)

// Every byte of PEM is accepted, plain or escaped, and no other byte is. Covers F8.
func TestOnlyBytesOfPEMAreUnescaped(t *testing.T) {
	t.Parallel()
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-"
	for i := range 256 {
		c := byte(i)
		for _, row := range []struct {
			text string
			want bool
		}{
			{string([]byte{c}), strings.IndexByte(plain, c) >= 0},
			{fmt.Sprintf("%%%02X", c), strings.IndexByte(plain+" \r\n", c) >= 0},
			{fmt.Sprintf("%%%02x", c), strings.IndexByte(plain+" \r\n", c) >= 0},
		} {
			got, err := forwarded.Unescape(row.text)
			if row.want != (err == nil) || row.want && got != string([]byte{c}) {
				t.Errorf("%q: got %q, %v; want a character: %t", row.text, got, err, row.want)
			}
		}
		// The second digit of an escape, after 4, which gives letters, and after 1, which does not.
		for _, digits := range []string{"4" + string([]byte{c}), string([]byte{c}) + "1"} {
			want, err := hex.DecodeString(digits)
			ok := err == nil && strings.IndexByte(plain, want[0]) >= 0
			if got, err := forwarded.Unescape("%" + digits); ok != (err == nil) || ok && got != string(want) {
				t.Errorf("%%%s: got %q, %v; want a character: %t", digits, got, err, ok)
			}
		}
	}
	for _, text := range []string{"%", "%4", "A%", "A%4"} {
		if _, err := forwarded.Unescape(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
