package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// A command whose grammar alone is read has the help, the errors and the exit status that it
// has among all commands: they are read if a flag comes first.
func TestCommandAloneIsTheCommandAmongAll(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	for _, top := range parser.Model.Children {
		for _, words := range append(subcommands(top), []string{top.Name}) {
			for _, argument := range []string{"--help", "--frobnicate"} {
				alone, code := outcome(t, append(slices.Clone(words), argument))
				among, want := outcome(t, append([]string{"--json"}, append(words, argument)...))
				if alone != among || code != want || alone == "" {
					t.Errorf("%s %s: exit status %d\n%s\nwant %d\n%s", words, argument, code, alone, want, among)
				}
			}
		}
	}
}

// subcommands returns the words of all commands below one.
func subcommands(n *kong.Node) (all [][]string) {
	for _, child := range n.Children {
		if child.Type == kong.CommandNode {
			all = append(append(all, strings.Fields(child.Path())[1:]), subcommands(child)...)
		}
	}
	return all
}

func outcome(t *testing.T, args []string) (text string, code int) {
	t.Helper()
	var out bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &out)
	return out.String(), code
}
