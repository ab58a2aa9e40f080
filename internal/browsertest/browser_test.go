package browsertest_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// settings are what driver.mjs starts the browser with.
type settings struct {
	Executable        string            `json:"executable"`
	Arguments         []string          `json:"arguments"`
	Environment       map[string]string `json:"environment"`
	Profile           string            `json:"profile,omitempty"` // a folder with a certificate store
	Origin            string            `json:"origin"`
	Certificate       string            `json:"certificate,omitempty"` // files of the client certificate that the driver presents
	Key               string            `json:"key,omitempty"`
	IgnoreHTTPSErrors bool              `json:"ignoreHTTPSErrors"`
}

// view is how a person looks at a page.
type view struct {
	Dark          bool `json:"dark,omitempty"`
	Width         int  `json:"width,omitempty"`  // 0 means 1,280 px
	Height        int  `json:"height,omitempty"` // 0 means 800 px
	WithoutScript bool `json:"withoutScript,omitempty"`
	ForcedColors  bool `json:"forcedColors,omitempty"`
}

// browser is a browser that driver.mjs drives. It is not safe for concurrent use.
type browser struct {
	testing.TB
	in  *json.Encoder
	out *bufio.Reader
}

// quiet are the flags for a browser that connects only to the page, and needs no display.
var quiet = []string{
	"--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
}

// newBrowser starts a browser that presents a certificate of the site.
func newBrowser(s *site, user string) *browser {
	s.Helper()
	certificate, key := s.files(user)
	return startBrowser(s, settings{
		Executable: testkit.Program(s, "chromium-headless-shell", "chromium-headless-shell"), Arguments: quiet, Origin: s.origin(),
		Certificate: certificate, Key: key, IgnoreHTTPSErrors: true,
	})
}

func startBrowser(tb testing.TB, with settings) *browser {
	tb.Helper()
	node := testkit.Program(tb, "node", "nodejs")
	if _, err := os.Stat("node_modules/playwright-core"); err != nil {
		testkit.Skip(tb, "playwright-core is not installed; run npm ci in internal/browsertest (the Debian package is npm)")
	}
	argument, err := json.Marshal(with)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(node, "driver.mjs", string(argument))
	cmd.Stderr = tb.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close() // the driver ends with its input
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			tb.Errorf("driver.mjs: %v", err)
		}
	})
	return &browser{TB: tb, in: json.NewEncoder(in), out: bufio.NewReader(out)}
}

// do sends a command to the driver, and reads its answer into out unless out is nil.
func (b *browser) do(command string, arguments map[string]any, out any) {
	b.Helper()
	if err := b.try(command, arguments, out); err != "" {
		b.Fatal(err)
	}
}

// try is do, and returns the error that the driver answers.
func (b *browser) try(command string, arguments map[string]any, out any) string {
	b.Helper()
	message := map[string]any{"do": command}
	for k, v := range arguments {
		message[k] = v
	}
	if err := b.in.Encode(message); err != nil {
		b.Fatal(err)
	}
	line, err := b.out.ReadBytes('\n')
	if err != nil {
		b.Fatalf("%s: driver.mjs has ended: %v", command, err)
	}
	var answer struct {
		Value json.RawMessage
		Error string
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		b.Fatalf("%s: %v: %s", command, err, line)
	}
	if answer.Error != "" {
		return answer.Error
	}
	if out != nil {
		if err := json.Unmarshal(answer.Value, out); err != nil {
			b.Fatalf("%s: %v: %s", command, err, answer.Value)
		}
	}
	return ""
}

// open begins a new page, without the memory of an earlier one.
func (b *browser) open(v view) { b.Helper(); b.do("open", map[string]any{"view": v}, nil) }

// load loads a path, and returns the status of the answer.
func (b *browser) load(path string) (status int) {
	b.Helper()
	b.do("goto", map[string]any{"path": path}, &status)
	return status
}

// text returns the text that the page shows.
func (b *browser) text() (text string) { b.Helper(); b.do("text", nil, &text); return text }

// see waits until the page shows a text.
func (b *browser) see(text string) { b.Helper(); b.do("wait", map[string]any{"text": text}, nil) }

// complaints returns what the browser complained about since the last call.
func (b *browser) complaints() (all []string) { b.Helper(); b.do("complaints", nil, &all); return all }

// overflow returns the elements that are wider than the window.
func (b *browser) overflow() (all []string) { b.Helper(); b.do("overflow", nil, &all); return all }

// axe returns the violations that axe-core finds.
func (b *browser) axe() []string {
	b.Helper()
	var found struct {
		Violations []string
		Passes     int
	}
	b.do("axe", nil, &found)
	if found.Passes < 10 {
		return append(found.Violations, "axe-core has looked at nothing")
	}
	return found.Violations
}

// faults returns everything that is wrong with the page as it is.
func (b *browser) faults() []string {
	b.Helper()
	return append(append(b.axe(), b.overflow()...), b.complaints()...)
}

// check reports everything that is wrong with the page.
func (b *browser) check(what string) {
	b.Helper()
	if all := b.faults(); len(all) > 0 {
		b.Errorf("%s:\n%s", what, strings.Join(all, "\n"))
	}
}
