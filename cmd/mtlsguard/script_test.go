package main

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// Every command is run as text and as JSON, with valid and invalid input. Each script has
// the test certificates, a configuration, and a server that serves it at $INTERNAL,
// $PARTNER and $PUBLIC. In a script, mtlsguard runs the command in this process, without
// standard input; exec mtlsguard starts a process, which takes several times as long.
func TestScripts(t *testing.T) {
	t.Setenv("MTLSGUARD_PASSWORD", "") // scripts change it
	testscript.RunT(oneByOne{t}, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			if err := writeSite(env.WorkDir); err != nil {
				return err
			}
			return serveSite(env.WorkDir, env.Setenv, env.Defer)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mtlsguard": mtlsguardInProcess, "fifo": fifo, "huge": huge, "silent": silent, "hints": hints, "mute": mute, "until": until,
		},
	})
}

// oneByOne runs scripts one after another: they change the working directory of the process.
type oneByOne struct{ *testing.T }

func (o oneByOne) Parallel() {}

func (o oneByOne) Verbose() bool { return testing.Verbose() }

func (o oneByOne) Run(name string, script func(testscript.T)) {
	o.T.Run(name, func(t *testing.T) { script(oneByOne{t}) })
}

// mtlsguardInProcess runs the command with the folder and the password of the script.
func mtlsguardInProcess(ts *testscript.TestScript, neg bool, args []string) {
	before, err := os.Getwd()
	ts.Check(err)
	ts.Check(os.Chdir(ts.MkAbs(".")))
	defer os.Chdir(before)
	os.Setenv("MTLSGUARD_PASSWORD", ts.Getenv("MTLSGUARD_PASSWORD"))
	if code := run(context.Background(), args, strings.NewReader(""), ts.Stdout(), ts.Stderr()); neg != (code != exitYes) {
		ts.Fatalf("exit status %d", code)
	}
}

// fifo creates a named pipe without a writer.
func fifo(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(testkit.NamedPipe(ts.MkAbs(args[0])))
}

// huge creates a sparse file of 300 MiB.
func huge(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("mappings: []\n"), 0o600))
	ts.Check(os.Truncate(ts.MkAbs(args[0]), 300<<20))
}

// until repeats a command until it succeeds.
func until(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(testkit.Patience); ts.Exec(args[0], args[1:]...) != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("no success within %v: %s", testkit.Patience, args)
		}
	}
}

// silent listens, sets the variable to the address, and closes every connection.
func silent(ts *testscript.TestScript, _ bool, args []string) { listen(ts, args[0], "") }

// mute listens, and answers every connection in plain HTTP.
func mute(ts *testscript.TestScript, _ bool, args []string) {
	listen(ts, args[0], "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
}

func listen(ts *testscript.TestScript, name, answer string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(name, l.Addr().String())
	ts.Defer(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(5 * time.Second))
			c.Read(make([]byte, 4096))
			io.WriteString(c, answer)
			c.Close()
		}
	}()
}

// hints checks that the last command's standard error has only lines that begin with
// error: or hint:, and a hint for each error. With !, standard error must be empty.
func hints(ts *testscript.TestScript, neg bool, _ []string) {
	text := ts.ReadFile("stderr")
	if neg {
		if text != "" {
			ts.Fatalf("standard error: %s, want none", text)
		}
		return
	}
	ts.Check(testkit.CheckHints(text))
}
