package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (*completionCmd) Help() string {
	return `Examples:
  mtlsguard completion bash
  mtlsguard completion zsh
  mtlsguard completion fish

To install:
  bash: source <(mtlsguard completion bash), in ~/.bashrc
  zsh:  mtlsguard completion zsh >"${fpath[1]}/_mtlsguard"
  fish: mtlsguard completion fish >~/.config/fish/completions/mtlsguard.fish`
}

func (c *completionCmd) Run(a *app) error {
	commands := listCommands(a.model.Node, "")
	script := map[string]func([]commandWords) string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[c.Shell](commands)
	if a.json {
		return a.printJSON(map[string]string{"shell": c.Shell, "script": script})
	}
	a.printf("%s", script)
	return nil
}

// commandWords is a command with the words that may follow it.
type commandWords struct {
	path  string // "users add"; "" is mtlsguard itself
	verbs []candidate
	flags []candidate
}

// candidate is a command, an argument or a flag to complete.
type candidate struct {
	text, help string
	values     []string // values of a flag
	takes      bool     // whether a flag takes a value
}

// listCommands returns a command and all commands below it.
func listCommands(n *kong.Node, path string) []commandWords {
	p := commandWords{path: path}
	for _, f := range n.AllFlags(true) {
		for _, flag := range f {
			p.flags = append(p.flags, candidate{text: "--" + flag.Name, help: flag.Help, values: enumValues(flag), takes: !flag.IsBool()})
		}
	}
	for _, arg := range n.Positional {
		for _, v := range arg.EnumSlice() {
			if v != "" {
				p.verbs = append(p.verbs, candidate{text: v})
			}
		}
	}
	out := []commandWords{p}
	for _, child := range n.Children {
		out[0].verbs = append(out[0].verbs, candidate{text: child.Name, help: child.Help})
		out = append(out, listCommands(child, strings.TrimSpace(path+" "+child.Name))...)
	}
	return out
}

func enumValues(f *kong.Flag) []string {
	var out []string
	for _, v := range f.EnumSlice() {
		if v != "" {
			out = append(out, v)
		}
	}
	return out
}

func joinTexts(words ...[]candidate) string {
	var out []string
	for _, list := range words {
		for _, w := range list {
			out = append(out, w.text)
		}
	}
	return strings.Join(out, " ")
}

// walkCases returns a case for each step from a command to the next, in the syntax of bash
// and zsh.
func walkCases(places []commandWords) string {
	var b strings.Builder
	for _, p := range places {
		if p.path != "" {
			fmt.Fprintf(&b, "      %q) at=%q ;;\n", parentPath(p.path)+"/"+p.path[strings.LastIndexByte(p.path, ' ')+1:], p.path)
		}
	}
	return b.String()
}

func parentPath(path string) string {
	i := strings.LastIndexByte(path, ' ')
	return path[:max(i, 0)]
}

func bashScript(places []commandWords) string {
	var b strings.Builder
	b.WriteString("# bash completion for mtlsguard\n_mtlsguard() {\n  local cur=${COMP_WORDS[COMP_CWORD]} at= w\n")
	b.WriteString("  for w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n    case \"$at/$w\" in\n" + walkCases(places) + "    esac\n  done\n")
	b.WriteString("  case $at in\n")
	for _, p := range places {
		fmt.Fprintf(&b, "    %q) COMPREPLY=($(compgen -W %q -- \"$cur\")) ;;\n", p.path, joinTexts(p.verbs, p.flags))
	}
	b.WriteString("  esac\n}\ncomplete -o default -F _mtlsguard mtlsguard\n")
	return b.String()
}

func zshScript(places []commandWords) string {
	var b strings.Builder
	b.WriteString("#compdef mtlsguard\n_mtlsguard() {\n  local at= w\n  for w in ${words[2,CURRENT-1]}; do\n    case \"$at/$w\" in\n" + walkCases(places) + "    esac\n  done\n  case $at in\n")
	for _, p := range places {
		fmt.Fprintf(&b, "    %q) compadd -- %s ;;\n", p.path, joinTexts(p.verbs, p.flags))
	}
	b.WriteString("  esac\n  _files\n}\ncompdef _mtlsguard mtlsguard\n")
	return b.String()
}

func fishScript(places []commandWords) string {
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'" }
	var b strings.Builder
	b.WriteString("# fish completion for mtlsguard\n")
	for _, p := range places {
		condition := "__fish_use_subcommand"
		if p.path != "" {
			var seen []string
			for _, w := range strings.Fields(p.path) {
				seen = append(seen, "__fish_seen_subcommand_from "+w)
			}
			condition = strings.Join(seen, "; and ")
		}
		for _, v := range p.verbs {
			fmt.Fprintf(&b, "complete -c mtlsguard -n %s -f -a %s -d %s\n", quote(condition), v.text, quote(v.help))
		}
		for _, f := range p.flags {
			fmt.Fprintf(&b, "complete -c mtlsguard -n %s -l %s", quote(condition), strings.TrimPrefix(f.text, "--"))
			if f.takes {
				b.WriteString(" -r")
			}
			if f.values != nil {
				fmt.Fprintf(&b, " -f -a %s", quote(strings.Join(f.values, " ")))
			}
			fmt.Fprintf(&b, " -d %s\n", quote(f.help))
		}
	}
	return b.String()
}
