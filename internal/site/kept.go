package site

import (
	"crypto/sha256"
	"fmt"
)

// kept holds what was parsed from files: a reload parses a file again only if its content, or
// a setting that its parser depends on, has changed. Ports that name the same file share one
// value. A Generation keeps what its own load used, and no more, so nothing accumulates.
//
// What depends on the clock, on other files or on the generation before must not be part of a
// kept value, unless it is part of the key: it is checked anew at each load.
type kept map[keptKey]any

// keptKey is the parser and a digest of everything that its result depends on.
type keptKey struct {
	kind   string
	digest [sha256.Size]byte
}

// keyOf returns the key of what the parser kind makes of these parts: the digest of the
// content, the name of the file if positions in the value hold it, and every setting. Go syntax
// quotes each part, so that different parts never make one text.
func keyOf(kind string, parts ...any) keptKey {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%#v\n", p)
	}
	key := keptKey{kind: kind}
	h.Sum(key.digest[:0])
	return key
}

// keep returns the kept value of a key, or what parse returns. A failed parse is not kept: its
// errors are reported again. keep is not for concurrent use; parse may use all processors.
func keep[T any](l *loader, key keptKey, parse func() (T, bool)) (T, bool) {
	if value, ok := keptOf[T](l, key); ok {
		return value, true
	}
	l.parsed[key.kind]++
	value, ok := parse()
	if ok {
		l.kept[key] = value
	}
	return value, ok
}

// keptOf returns the value of a key of this load, or of the generation in effect. A value of
// that generation is kept for the next one.
func keptOf[T any](l *loader, key keptKey) (value T, ok bool) {
	if value, ok = l.kept[key].(T); !ok && l.previous != nil {
		if value, ok = l.previous.kept[key].(T); ok {
			l.kept[key] = value
		}
	}
	return value, ok
}
