package main

import (
	"crypto/tls"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// incident is a fault at a running server. From the client's answer or the log, one command finds
// the cause and the change that resolves it.
type incident struct {
	name    string
	before  func(*nightSite) // changes the files before the server starts
	after   func(*nightSite) // changes the running server
	call    call
	send    func(*nightSite) answerAtNight // sends the request in another way
	fails   string                         // what the client sees
	log     []string                       // texts of the line of the log, if not the answer's reference
	command string                         // $REFERENCE, $FINGERPRINT and others are from the answer or the log
	cause   string                         // text of the command's output
	mend    string                         // text of the hint
	fill    map[string]string              // the placeholders of the hint, such as NAME
	partner func(*nightSite)               // what others do first: a partner renews, an authority publishes
	apply   func(*nightSite, pasting)      // follows a hint that has no line below it
	works   string                         // what the client sees afterwards; "" is 200
	later   func(*nightSite)               // afterwards the request works too
}

// pasting is a change as the command prints it below a hint.
type pasting struct{ before, hint, text string }

// TestIncidentIsMendedByOneCommand makes each incident at a running server, runs one command,
// pastes its hint as it is printed, and sends the request again. Other decisions stay as they
// were.
func TestIncidentIsMendedByOneCommand(t *testing.T) {
	t.Parallel()
	runIncidents(t, slices.Concat(certificateIncidents, accessIncidents, serverIncidents))
}

// runIncidents runs several incidents at once, more than there are processors: they wait for
// reloads most of the time.
func runIncidents(t *testing.T, all []incident) {
	t.Helper()
	places := make(chan struct{}, 12)
	var running sync.WaitGroup
	for _, i := range all {
		running.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			t.Run(i.name, i.run)
		})
	}
	running.Wait()
}

// run causes the incident and resolves it.
func (i incident) run(t *testing.T) {
	t.Helper()
	n := newNight(t)
	if i.before != nil {
		i.before(n)
	}
	n.start()
	if i.after != nil {
		i.after(n)
	}
	n.decisions() // other lines of the log do not disturb
	failed := n.sends(i)
	if !regexp.MustCompile(i.fails).MatchString(failed.String()) {
		t.Fatalf("the client sees %q, want %q", failed, i.fails)
	}
	n.collect(failed, i.log)
	line := n.expand(i.command)
	output, _, took := n.shell(line)
	t.Logf("%v: %s\n%s", took.Round(10*time.Millisecond), line, output)
	if !strings.Contains(output, n.expand(i.cause)) {
		t.Errorf("the output has no %q", i.cause)
	}
	hints := pastings(output, i.mend)
	if len(hints) == 0 {
		t.Fatalf("no hint has %q", i.mend)
	}
	if i.partner != nil {
		i.partner(n)
	}
	for _, h := range hints {
		if i.apply != nil {
			i.apply(n, h)
		} else {
			n.paste(h, i.fill)
		}
	}
	if n.mended != nil {
		i.call = *n.mended
	}
	want := i.works
	if want == "" {
		want = "200"
	}
	var last answerAtNight
	testkit.Eventually(t, "the request works", func() bool { last = n.sends(i); return last.String() == want })
	if i.later != nil {
		i.later(n)
		if again := n.sends(i); again.String() != want {
			t.Errorf("afterwards the client sees %s", again)
		}
	}
	for request, now := range n.decisions() {
		if now != healthy[request] && request != i.call.String() {
			t.Errorf("the change lets %s get %s, want %s", request, now, healthy[request])
		}
	}
}

// collect reads the values of $REFERENCE and others from the answer and the log.
func (n *nightSite) collect(failed answerAtNight, texts []string) {
	n.Helper()
	if failed.reference != "" {
		texts = []string{`"reference":"` + failed.reference + `"`}
	}
	if texts == nil {
		return
	}
	var l logLine
	testkit.Eventually(n, "the log has the line", func() (ok bool) { l, ok = n.lastLine(texts...); return ok })
	n.vars["$REFERENCE"], n.vars["$FINGERPRINT"], n.vars["$SERIAL"] = failed.reference, l.Fingerprint, l.Serial
}

func (n *nightSite) expand(text string) string {
	for name, value := range n.vars {
		text = strings.ReplaceAll(text, name, value)
	}
	for name, addr := range n.addrs {
		_, port, _ := strings.Cut(addr, ":")
		text = strings.ReplaceAll(text, "$"+strings.ToUpper(name), "localhost:"+port)
	}
	return text
}

// pastings returns the hints of an output that have a text, with the lines below them.
func pastings(output, text string) []pasting {
	var out []pasting
	lines := strings.Split(output, "\n")
	for i, line := range lines {
		if !strings.Contains(line, text) || !strings.HasPrefix(line, "hint: ") && !strings.HasPrefix(line, "    ") { // lint indents its hints
			continue
		}
		p := pasting{hint: line}
		if i > 0 {
			p.before = lines[i-1]
		}
		if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "    ") {
			p.text = strings.TrimSpace(lines[i+1])
		}
		out = append(out, p)
	}
	return out
}

// placed is a line with its place, as hints print it.
var placed = regexp.MustCompile(`^([\w.-]+(?::\d+)?)(, a new line)?: (.*)$`)

// paste does what the line below a hint says: it runs the command, or writes the line in its
// place.
func (n *nightSite) paste(p pasting, fill map[string]string) {
	n.Helper()
	text := p.text
	for name, value := range fill {
		text = strings.ReplaceAll(text, name, n.expand(value))
	}
	found := placed.FindStringSubmatch(text)
	if found == nil {
		if out, status, _ := n.shell(text); status != exitYes || text == "" {
			n.Fatalf("the command %q prints: %s", text, out)
		}
		return
	}
	place, isNew, line := found[1], found[2] != "", found[3]
	file, number, numbered := strings.Cut(place, ":")
	if !numbered {
		n.put(file, n.get(file)+line+"\n")
		return
	}
	at, err := strconv.Atoi(number)
	lines := strings.SplitAfter(n.get(file), "\n")
	if err != nil || at < 1 || at > len(lines) {
		n.Fatalf("no line %s", place)
	}
	old := lines[at-1]
	line = old[:len(old)-len(strings.TrimLeft(old, " "))] + line + "\n"
	if isNew {
		lines = slices.Insert(lines, at-1, line)
	} else {
		lines[at-1] = line
	}
	n.put(file, strings.Join(lines, ""))
}

// healthy are the decisions of a server without an incident.
var healthy = map[string]string{
	"alice GET /orders/7": "200", "alice DELETE /orders/7": "403 no-rule", "bob POST /orders/7": "200", "partner GET /orders/7": "200", "partner POST /orders/7": "403 no-rule",
	"mallory GET /orders/7": "403 denied", "erin GET /orders/8": "403 no-rule", "dora GET /orders/7": "unknown certificate authority", "GET /orders/7": "certificate required",
	"alice edge GET /orders/7": "unknown certificate authority",
}

// decisions returns what the clients of healthy see.
func (n *nightSite) decisions() map[string]string {
	n.Helper()
	out := map[string]string{}
	for request := range healthy {
		f := strings.Fields(request)
		c := call{method: f[len(f)-2], path: f[len(f)-1], config: func(t *tls.Config) { t.InsecureSkipVerify = true }} // the server decides, whatever its own certificate
		if len(f) > 2 {
			c.client = f[0]
		}
		if len(f) > 3 {
			c.port = f[1]
		}
		out[request] = alertOf(n.send(c))
	}
	return out
}

// sends sends the request of an incident.
func (n *nightSite) sends(i incident) answerAtNight {
	n.Helper()
	if i.send != nil {
		return i.send(n)
	}
	return n.send(i.call)
}

// alertOf returns an answer without the addresses of its connection.
func alertOf(a answerAtNight) string {
	text := a.String()
	return strings.TrimSpace(text[strings.LastIndex(text, ": ")+1:])
}
