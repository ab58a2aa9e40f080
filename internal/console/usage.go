package console

import (
	"bytes"
	"strings"

	"github.com/alecthomas/kong"
)

// ExpandWords replaces the words help and version, which are no commands, by the flags.
func ExpandWords(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case args[0] == "help":
		return append(args[1:len(args):len(args)], "--help")
	case args[0] == "version" && len(args) == 1:
		return []string{"--version"}
	case args[0] == "version" && len(args) == 2 && args[1] == "--json", args[0] == "--json" && len(args) == 2 && args[1] == "version":
		return []string{"--json", "--version"}
	}
	return args
}

// PrintHelp prints the help of a command. Flags of which one is required are shown as
// alternatives.
func PrintHelp(options kong.HelpOptions, ctx *kong.Context) error {
	to := ctx.Stdout
	var page bytes.Buffer
	ctx.Stdout = &page
	err := kong.DefaultHelpPrinter(options, ctx)
	ctx.Stdout = to
	if err != nil {
		return err
	}
	usage, rest, _ := strings.Cut(page.String(), "\n")
	if node := ctx.Selected(); node != nil {
		usage = markAlternatives(usage, node)
	}
	_, err = to.Write([]byte(usage + "\n" + rest))
	return err
}

// markAlternatives replaces the flags that exclude one another by one group.
func markAlternatives(usage string, node *kong.Node) string {
	groups := map[string][]string{}
	var order []string
	for _, f := range node.Flags {
		for _, name := range f.Xor {
			if groups[name] == nil {
				order = append(order, name)
			}
			groups[name] = append(groups[name], f.Summary())
		}
	}
	for _, name := range order {
		all := groups[name]
		for _, one := range all[1:] {
			usage = strings.Replace(usage, " "+one+" ", " ", 1)
		}
		usage = strings.Replace(usage, all[0]+" ", "("+strings.Join(all, " | ")+") ", 1)
	}
	return usage
}
