package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/reason"
)

// logLine is what the commands read of a line of a server's log.
type logLine struct {
	Time                                                            time.Time
	Event, Outcome, Reason, Port, User, Mapping, Method, Path, Rule string
	Fingerprint, Subject, Issuer, Serial, Gateway                   string
	Reference, Remote, Error, File, Host                            string
	ViaProxy                                                        string `json:"via_proxy"`
	ClientIP                                                        string `json:"client_ip"`
	SAN, SPKI, SNI, Nearest                                         string
	Via, What, Note                                                 string // of an edit
	Upstream                                                        any    // other programs' lines may have something else there
	Generation, Certificates, Count                                 uint64
	Stale                                                           bool

	number int // of the line in the log, from 1
}

// upstream returns the URL of the service that has not answered, or "".
func (l *logLine) upstream() string {
	url, _ := l.Upstream.(string)
	return url
}

// isRequest reports whether the line is about a request or a handshake that was decided.
func (l *logLine) isRequest() bool {
	return (l.Event == "decision" || l.Event == "handshake") && (l.Outcome == "allow" || l.Outcome == "refuse")
}

// isClaimed reports whether the caller has only claimed to be the user of the line.
func (l *logLine) isClaimed() bool { return reason.Reason(l.Reason) == reason.BadCredentials }

// logFilter selects lines of a log.
type logFilter struct {
	Reference   string `placeholder:"ID" help:"The line of this reference, as a refusal has it."`
	Fingerprint string `placeholder:"SHA256" help:"Lines about this certificate."`
	User        string `placeholder:"NAME" help:"Lines about this user."`
	Refused     bool   `help:"Lines about refusals."`
}

// digest returns the fingerprint as lines have it.
func (f *logFilter) digest() string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(f.Fingerprint, "sha256:"), ":", ""))
}

// needle returns a text that every line that matches contains, or "". Lines without it need
// not be parsed.
func (f *logFilter) needle() string {
	switch {
	case f.Reference != "" && !strings.ContainsFunc(f.Reference, notPlain):
		return f.Reference
	case f.Fingerprint != "" && !strings.ContainsFunc(f.digest(), notPlain):
		return f.digest()
	case f.User != "" && !strings.ContainsFunc(f.User, notPlain):
		return f.User
	}
	return ""
}

// notPlain reports whether JSON may write a character in another way.
func notPlain(c rune) bool {
	return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '.' && c != '_' && c != '-'
}

func (f *logFilter) matches(l *logLine) bool {
	digest := f.digest()
	switch {
	case f.Reference != "" && l.Reference != f.Reference,
		digest != "" && l.Fingerprint != digest,
		f.User != "" && l.User != f.User,
		f.Refused && l.Outcome != "refuse":
		return false
	}
	return true
}

// openLog opens a log. - is standard input. With follow, the reader waits for more lines
// at the end, and goes on when the file is rotated or truncated. The reader ends with the
// command.
func openLog(a *app, name string, follow bool) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(interruptible{a.ctx, a.stdin}), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, logError(name, err)
	}
	if follow {
		return &follower{ctx: a.ctx, name: name, file: f}, nil
	}
	return f, nil
}

func logError(name string, err error) error {
	return &configerror.Error{File: name, What: "the log cannot be read: " + err.Error(), Hint: "name the file to which the server's standard error goes"}
}

// maxLogLine bounds the lines that are read. Longer ones are skipped.
const maxLogLine = 1 << 20

// readLog calls use for each line that is a JSON object and contains needle, and returns the
// number of lines that are no objects. It holds one line at a time.
func readLog(ctx context.Context, name string, in io.Reader, needle string, use func(raw []byte, l *logLine)) (skipped int, err error) {
	lines := bufio.NewReaderSize(in, maxLogLine)
	for number := 1; ctx.Err() == nil; number++ {
		raw, err := lines.ReadSlice('\n')
		for err == bufio.ErrBufferFull { // skip the rest of a line that is too long
			raw = nil
			if _, err = lines.ReadSlice('\n'); err != bufio.ErrBufferFull {
				skipped++
			}
		}
		if text := bytes.TrimSpace(raw); len(text) > 0 {
			l := logLine{number: number}
			switch {
			case text[0] != '{':
				skipped++
			case needle != "" && !bytes.Contains(text, []byte(needle)):
			case json.Unmarshal(text, &l) != nil:
				skipped++
			default:
				use(text, &l)
			}
		}
		switch {
		case err == nil || ctx.Err() != nil:
		case err == io.EOF:
			return skipped, nil
		default:
			return skipped, logError(name, err)
		}
	}
	return skipped, ctx.Err()
}

// readWholeLog reads a log to its end. An interrupt is an error: what stands last in the
// log is then not known.
func readWholeLog(a *app, name, needle string, use func(raw []byte, l *logLine)) (skipped int, err error) {
	in, err := openLog(a, name, false)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	skipped, err = readLog(a.ctx, name, in, needle, use)
	if err != nil && a.ctx.Err() != nil {
		err = usageError("interrupted before the end of the log", "let the command read the log to its end")
	}
	return skipped, err
}

// interruptible is a reader that ends with a context, also while it waits for input.
type interruptible struct {
	ctx context.Context
	in  io.Reader
}

func (r interruptible) Read(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	own := make([]byte, min(len(p), 64<<10)) // the read may go on after the context has ended
	read := make(chan result, 1)
	go func() {
		n, err := r.in.Read(own)
		read <- result{n, err}
	}()
	select {
	case x := <-read:
		return copy(p, own[:x.n]), x.err
	case <-r.ctx.Done():
		return 0, io.EOF
	}
}
