package certmap

import (
	"crypto/sha256"
	"sync"

	"github.com/mtlsguard/mtlsguard/internal/usersload/hook"
	"github.com/mtlsguard/mtlsguard/internal/workers"
	"github.com/mtlsguard/mtlsguard/trust"
)

// pool parses files in several goroutines.
type pool struct {
	settings *settings
	slots    chan struct{} // one for each goroutine
	running  sync.WaitGroup
	files    []*parsing
}

// parsing is a file that is being parsed, in pieces.
type parsing struct {
	to     *parsedFile
	parts  []*part
	mu     sync.Mutex
	before map[[sha256.Size]byte]*piece // those of the previous table that are not used again yet
}

// part is a piece that is being parsed, or that was found among the pieces of the previous table.
type part struct {
	collector
	piece *piece
}

func newPool(s *settings, workers int) *pool {
	return &pool{settings: s, slots: make(chan struct{}, max(workers, 1))}
}

// parse begins to parse a file. It takes pieces of an earlier content, which may be nil. The
// result is complete when wait returns true.
func (p *pool) parse(f hook.File, data []byte, before *parsedFile) *parsedFile {
	f.Read = nil
	file := &parsing{to: &parsedFile{file: f}, before: before.byDigest()}
	p.files = append(p.files, file)
	for first := true; first || len(data) > 0; first = false {
		text := data
		if isJSONLines(f.Name) {
			text = data[:pieceEnd(data, p.settings.pieceSize)]
		}
		data = data[len(text):]
		c := new(part)
		file.parts = append(file.parts, c)
		p.slots <- struct{}{}
		p.running.Go(func() {
			workers.Yield()
			file.read(c, p.settings, text)
			<-p.slots
		})
	}
	return file.to
}

// read takes a piece of the previous table, or parses it.
func (f *parsing) read(c *part, s *settings, text []byte) {
	to := &piece{issuers: map[string]trust.Digest{}}
	name := f.to.file.Name
	if isJSONLines(name) && f.to.file.Digest != ([sha256.Size]byte{}) {
		to.digest = sha256.Sum256(text)
		if known := f.take(to.digest); known != nil && known.current(s) {
			c.piece = known
			return
		}
	}
	c.pager = newPager(name)
	l := s.reader(name, &c.report, c)
	l.used = to.issuers
	if isJSONLines(name) {
		to.lines, _ = l.readLines(text)
	} else {
		l.readYAML(text)
	}
	c.pager.seal()
	to.pages = c.pager.pages
	c.piece = to
}

// take returns the piece of the previous table with a digest, once: if the same lines follow a second time,
// they are parsed, and found to repeat their ids.
func (f *parsing) take(digest [sha256.Size]byte) *piece {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.before[digest]
	delete(f.before, digest)
	return p
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

// join puts the pieces of a file together. It returns false if one has an error, or if there is
// no mapping among JSON lines; an empty list in YAML is no error.
func (f *parsing) join() bool {
	pages := 0
	for _, c := range f.parts {
		if c.report.Len() > 0 {
			return false
		}
		pages += len(c.piece.pages)
		f.to.pieces = append(f.to.pieces, c.piece)
	}
	return pages > 0 || !isJSONLines(f.to.file.Name)
}
