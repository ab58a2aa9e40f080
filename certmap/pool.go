package certmap

import (
	"bytes"
	"sync"

	"github.com/mtlsguard/mtlsguard/internal/usersload/hook"
	"github.com/mtlsguard/mtlsguard/trust"
)

// chunkSize is how much of a file one goroutine parses at a time: some thousand lines.
const chunkSize = 512 << 10

// pool parses files in several goroutines.
type pool struct {
	settings *settings
	slots    chan struct{} // one for each goroutine
	running  sync.WaitGroup
	files    []*parsing
}

// parsing is a file that is being parsed, in chunks.
type parsing struct {
	to     *parsed
	chunks []*chunk
}

// chunk is a part of a file that ends with a line.
type chunk struct {
	collector
	keys  map[string]trust.Digest
	lines int
	n     int
}

func newPool(s *settings, workers int) *pool {
	return &pool{settings: s, slots: make(chan struct{}, max(workers, 1))}
}

// parse begins to parse a file. The result is complete when wait returns true.
func (p *pool) parse(f hook.File, data []byte) *parsed {
	f.Read = nil
	file := &parsing{to: &parsed{file: f}}
	p.files = append(p.files, file)
	whole := !isJSONLines(f.Name)
	for first := true; first || len(data) > 0; first = false {
		part := data
		if !whole {
			part = data[:chunkEnd(data)]
		}
		data = data[len(part):]
		c := &chunk{collector: collector{pager: newPager(f.Name)}}
		file.chunks = append(file.chunks, c)
		p.slots <- struct{}{}
		p.running.Go(func() {
			c.read(p.settings, f.Name, part, whole)
			<-p.slots
		})
	}
	return file.to
}

// chunkEnd returns the length of the next chunk.
func chunkEnd(data []byte) int {
	if len(data) <= chunkSize {
		return len(data)
	}
	if line := bytes.IndexByte(data[chunkSize:], '\n'); line >= 0 {
		return chunkSize + line + 1
	}
	return len(data)
}

func (c *chunk) read(s *settings, name string, data []byte, isYAML bool) {
	l := s.reader(name, &c.report, c)
	c.keys = map[string]trust.Digest{}
	l.used = c.keys
	if isYAML {
		l.readYAML(data)
		c.n = 1 // an empty list is no error
	} else {
		c.lines, c.n = l.readLines(data)
	}
	c.pager.seal()
}

// wait waits for all files, and reports whether each is correct by itself.
func (p *pool) wait() bool {
	p.running.Wait()
	for _, f := range p.files {
		if !f.join() {
			return false
		}
	}
	return true
}

// join puts the chunks of a file together. It returns false if one has an error, or if there is
// no mapping.
func (f *parsing) join() bool {
	to, n, lines := f.to, 0, 0
	to.issuers = map[string]trust.Digest{}
	for _, c := range f.chunks {
		if c.report.Len() > 0 {
			return false
		}
		for _, p := range c.pager.pages {
			p.seq = len(to.pages)
			for i := range p.records {
				p.records[i].line += uint32(lines)
			}
			to.n += len(p.records)
			to.pages = append(to.pages, p)
		}
		for path, key := range c.keys {
			to.issuers[path] = key
		}
		lines += c.lines
		n += c.n
	}
	return n > 0
}
