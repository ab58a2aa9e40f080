package dn

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Reasons to reject a name, in a certificate as in a mapping.
var (
	errEmptyName  = errors.New("the subject is empty")
	errAttributes = fmt.Errorf("the subject has more than %d attributes", maxAttributes)
	errLong       = fmt.Errorf("a value of the subject has more than %d bytes", maxValue)
	errEmptyValue = errors.New("a value of the subject is empty")
	errUTF8       = errors.New("a value of the subject is not UTF-8")
	errBlanks     = errors.New("a value of the subject begins or ends with a blank, or has two in a row")
	errCharacter  = errors.New("the subject holds a control, bidi, zero-width, private or unassigned character, or a blank other than the space")
	errNFC        = errors.New("the subject holds a character that is written otherwise in Unicode's normal form C")
)

// CheckValue rejects a value that two people, or two programs, could read differently:
// empty, longer than 256 bytes, not UTF-8, with blanks at its ends or two in a row, with
// characters that do not show, or not in normal form C. Such a value is rejected and not
// repaired: another program would repair it differently.
func CheckValue[T string | []byte](value T) error {
	if len(value) == 0 {
		return errEmptyValue
	}
	if len(value) > maxValue {
		return errLong
	}
	if value[0] == ' ' || value[len(value)-1] == ' ' {
		return errBlanks
	}
	for i := range len(value) {
		switch c := value[i]; {
		case c >= utf8.RuneSelf:
			return checkRunes(string(value))
		case c < ' ' || c == 0x7f:
			return errCharacter
		case c == ' ' && value[i-1] == ' ':
			return errBlanks
		}
	}
	return nil
}

func checkRunes(value string) error {
	if !utf8.ValidString(value) {
		return errUTF8
	}
	if strings.Contains(value, "  ") {
		return errBlanks
	}
	for _, r := range value {
		switch {
		case !unicode.IsPrint(r), // Cc, Cf, Co, Cn, Zl, Zp, and every blank but U+0020
			r == utf8.RuneError,
			unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r), // letters that show nothing
			unicode.Is(unicode.Variation_Selector, r):
			return errCharacter
		case 0x300 <= r && r <= 0x36f, r == 0x2126, r == 0x212a, r == 0x212b, 0xf900 <= r && r <= 0xfaff:
			// Combining accents, the Ohm, Kelvin and Ångström signs, and compatibility
			// ideographs: normal form C composes or replaces nearly all of them.
			return errNFC
		}
	}
	return nil
}
