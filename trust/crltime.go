package trust

import (
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// readTime reads a Time from the front of s, in the only form that RFC 5280 sections 4.1.2.5
// and 5.1.2.4 allow: UTCTime through 2049 and GeneralizedTime from 2050 on, with seconds, in
// UTC.
func readTime(s *cryptobyte.String) (time.Time, bool) {
	var content cryptobyte.String
	var tag der.Tag
	if !s.ReadAnyASN1(&content, &tag) {
		return time.Time{}, false
	}
	switch tag {
	case der.UTCTime:
		century := 20
		if len(content) > 0 && content[0] >= '5' {
			century = 19
		}
		return parseTime(century, content)
	case der.GeneralizedTime:
		at, ok := parseGeneralizedTime(content)
		return at, ok && string(content) >= "2050"
	}
	return time.Time{}, false
}

// parseGeneralizedTime parses YYYYMMDDHHMMSSZ.
func parseGeneralizedTime(text []byte) (time.Time, bool) {
	if len(text) < 2 {
		return time.Time{}, false
	}
	century, ok := twoDigits(text, 0)
	at, rest := parseTime(century, text[2:])
	return at, ok && rest
}

// parseTime parses YYMMDDHHMMSSZ. It takes a tenth of the time of time.Parse, which a list of
// 100,000 entries calls 100,000 times.
func parseTime(century int, text []byte) (time.Time, bool) {
	const size = len("YYMMDDHHMMSSZ")
	if len(text) != size || text[size-1] != 'Z' {
		return time.Time{}, false
	}
	var part [6]int
	for i := range part {
		var ok bool
		if part[i], ok = twoDigits(text, 2*i); !ok {
			return time.Time{}, false
		}
	}
	year, month, day, hour, minute, second := 100*century+part[0], part[1], part[2], part[3], part[4], part[5]
	at := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	// time.Date carries what is too large for its field into the next.
	return at, month >= 1 && month <= 12 && day >= 1 && at.Day() == day && hour < 24 && minute < 60 && second < 60
}

// twoDigits returns the number that two digits of text are, from index i on.
func twoDigits(text []byte, i int) (int, bool) {
	a, b := text[i]-'0', text[i+1]-'0'
	return 10*int(a) + int(b), a <= 9 && b <= 9
}
