package nginxconf

import (
	"fmt"

	"github.com/mtlsguard/mtlsguard/configerror"
)

// parser goes through the tokens of a file.
type parser struct {
	file   string
	tokens []token
	at     int
}

func (p *parser) fail(line int, what string) error {
	return &configerror.Error{File: p.file, Line: line, What: "this is not a configuration of nginx: " + what, Hint: "nginx -t shows what is wrong with it"}
}

// block calls f for the directives up to the end of a block, or of the file at depth 0. If a
// directive has a block of its own, f must read it: p.opened is true then.
func (p *parser) block(depth int, f func(words []token, p *parser) error) error {
	if depth > maxDepth {
		return p.fail(0, fmt.Sprintf("more than %d blocks in blocks", maxDepth))
	}
	var words []token
	for p.at < len(p.tokens) {
		t := p.tokens[p.at]
		p.at++
		switch {
		case t.mark == 0:
			words = append(words, t)
			continue
		case t.mark == '}':
			if depth == 0 || len(words) > 0 {
				return p.fail(t.line, "unexpected }")
			}
			return nil
		case len(words) == 0:
			return p.fail(t.line, "unexpected "+string(t.mark))
		case t.mark == ';':
			if err := f(words, nil); err != nil {
				return err
			}
		default:
			if err := f(words, p); err != nil {
				return err
			}
		}
		words = nil
	}
	if depth > 0 || len(words) > 0 {
		return p.fail(0, "the file ends inside a block or a directive")
	}
	return nil
}
