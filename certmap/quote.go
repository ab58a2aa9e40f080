package certmap

import "strconv"

// quote makes text fit for a message: escaped, so that nobody's bytes reach a
// terminal or a log, and short.
func quote(text string) string {
	const most = 120
	if len(text) > most {
		return strconv.QuoteToASCII(text[:most]) + "…"
	}
	return strconv.QuoteToASCII(text)
}
