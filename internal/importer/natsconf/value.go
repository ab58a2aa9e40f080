package natsconf

import "strings"

// value is a value of the configuration: text, a map or an array.
type value struct {
	file string
	line int
	text string
	kind byte // 't': text, 'v': a variable, '{': a map, '[': an array
	keys []string
	all  []*value // of keys, or of the array
}

// get returns the last value of a key, in any case of letters, or nil.
func (v *value) get(names ...string) *value {
	if v == nil {
		return nil
	}
	var out *value
	for i, key := range v.keys {
		for _, name := range names {
			if strings.EqualFold(key, name) {
				out = v.all[i]
			}
		}
	}
	return out
}

// isTrue reports whether a value is a boolean of yes.
func (v *value) isTrue() bool {
	if v == nil || v.kind != 't' {
		return false
	}
	switch strings.ToLower(v.text) {
	case "true", "yes", "on":
		return true
	}
	return false
}

// isFalse reports whether a value is a boolean of no.
func (v *value) isFalse() bool {
	if v.kind != 't' {
		return false
	}
	switch strings.ToLower(v.text) {
	case "false", "no", "off":
		return true
	}
	return false
}
