package policy

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/mtlsguard/mtlsguard/internal/workers"
)

// pieceSize is how many bytes of a file are read at a time, and parsed by one goroutine.
const pieceSize = 256 << 10

// piece is some lines of a file, and what was found in them.
type piece struct {
	check   *checker
	text    string
	line    int // the number of its first line
	rules   []Rule
	members []Member
}

// read returns the lines without errors, and adds the errors of the others. The error
// is the reader's. Pieces are parsed on all processors (see package workers), while the next one is read.
func (c *checker) read(file string, r io.Reader) (rules []Rule, members []Member, err error) {
	c.file = file
	var pieces []*piece
	var parsing sync.WaitGroup
	places := make(chan struct{}, workers.Limit())
	err = cut(r, func(p *piece) {
		p.check = &checker{vocabulary: c.vocabulary, file: file}
		pieces = append(pieces, p)
		places <- struct{}{}
		parsing.Go(func() {
			p.parse()
			<-places
		})
	})
	parsing.Wait()
	if err != nil {
		return nil, nil, err // half a policy is another policy
	}
	ofRules, ofMembers := 0, 0
	for _, p := range pieces {
		ofRules, ofMembers = ofRules+len(p.rules), ofMembers+len(p.members)
	}
	rules, members = make([]Rule, 0, ofRules), make([]Member, 0, ofMembers)
	for _, p := range pieces {
		rules, members = append(rules, p.rules...), append(members, p.members...)
		c.addAll(p.check)
	}
	return rules, members, nil
}

// firstPiece returns the size of the buffer: a reader that knows how much is left needs no more, and
// one byte in which it finds the end.
func firstPiece(r io.Reader) int {
	if sized, ok := r.(interface{ Len() int }); ok {
		return min(max(sized.Len(), 0), pieceSize-1) + 1
	}
	return pieceSize
}

// cut reads a file to its end and cuts it behind line ends.
func cut(r io.Reader, found func(*piece)) error {
	buf, n, line := make([]byte, firstPiece(r)), 0, 1
	for {
		var err error
		for empty := 0; n < len(buf) && err == nil; {
			var m int
			if m, err = r.Read(buf[n:]); m > 0 {
				n += m
				empty = 0
			} else if empty++; err == nil && empty == 100 {
				err = io.ErrNoProgress // as bufio's reader
			}
		}
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return err
		}
		if !last && len(buf) < pieceSize { // the reader has more than its Len
			buf = append(buf, make([]byte, pieceSize-len(buf))...)
			continue
		}
		end := n
		if !last {
			if end = bytes.LastIndexByte(buf, '\n') + 1; end == 0 {
				n = maxLine + len("\r\n") // a line that is too long stays so, and takes no memory
				continue
			}
		}
		found(&piece{text: string(buf[:end]), line: line})
		if last {
			return nil
		}
		line += bytes.Count(buf[:end], []byte("\n"))
		n = copy(buf, buf[end:n])
	}
}

// parse parses the lines of a piece.
func (p *piece) parse() {
	c := p.check
	var fields [6]string
	// Estimates, without which the slices would grow a dozen times.
	p.rules = make([]Rule, 0, strings.Count(p.text, "\n"+typeRule)+1)
	p.members = make([]Member, 0, strings.Count(p.text, "\n"+typeMember)+1)
	for rest, n := p.text, p.line; rest != ""; n++ {
		workers.YieldAt(n)
		line, after, ended := strings.Cut(rest, "\n")
		rest = after
		if ended {
			line = strings.TrimSuffix(line, "\r")
		}
		count := 0
		if len(line) > maxLine {
			c.add(Position{File: c.file, Line: n}, "the line is longer than 64 KiB", "")
		} else {
			count = c.split(Position{File: c.file, Line: n}, line, &fields)
		}
		switch count {
		case 6:
			rule := Rule{Subject: fields[1], Port: fields[2], Method: fields[3], Path: fields[4], Effect: fields[5], File: c.file, Line: n}
			if c.checkRule(&rule, len(p.rules)) {
				p.rules = append(p.rules, rule)
			}
		case 3:
			member := Member{Subject: fields[1], Group: fields[2], File: c.file, Line: n}
			if c.checkMember(&member, len(p.members)) {
				p.members = append(p.members, member)
			}
		}
		if count > 0 && !ended {
			c.unended = n
		}
	}
}
