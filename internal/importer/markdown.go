package importer

import (
	"cmp"
	"fmt"
	"html"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// report returns REPORT.md.
func (in *Import) report(out *Output) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Import of %s\n\n", markdown(strings.Join(in.sources, ", ")))
	fmt.Fprintf(&b, "Written by `mtlsguard import %s`. Lines of the source: %s.\n", in.options.Format, out.Summary())
	for _, r := range []Result{NotCarried, Changed, Carried} {
		if out.Count(r) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n| line | source | result |\n|---|---|---|\n", strings.ToUpper(string(r[:1]))+string(r[1:]))
		for _, l := range out.Lines {
			if l.Result == r {
				fmt.Fprintf(&b, "| %s | %s | %s |\n", markdown(l.comment()), code(l.Text), l.cell())
			}
		}
	}
	if len(out.Remarks) > 0 {
		b.WriteString("\n## Remarks\n\n")
		for _, r := range out.Remarks {
			fmt.Fprintf(&b, "- %s\n", markdown(escape.Printable(r, 0)))
		}
	}
	if len(out.Certificates) > 0 {
		b.WriteString("\n## Certificates of `--certs`\n\n| certificate | in the source | here |\n|---|---|---|\n")
		for _, p := range out.Certificates {
			source := "not known"
			if p.Known {
				source = cmp.Or(p.Source, "no user")
			}
			here := cmp.Or(p.User, "no user: "+p.Reason)
			if p.Port != "" {
				here += " (port " + p.Port + ")"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", markdown(escape.Printable(p.File, 0)), markdown(source), markdown(here))
		}
	}
	if len(out.Expected) > 0 {
		b.WriteString("\n## Decisions\n\n`mtlsguard policy test expected.txt --policy policy.csv` compares these decisions of the source with the policy. Keep the table.\n\n")
		for line := range strings.Lines(expectedText(out.Expected)) {
			b.WriteString("    " + line) // indented: no text of a row can end a block of code
		}
	}
	return b.String()
}

// Summary returns the number of lines with each result.
func (o *Output) Summary() string {
	return fmt.Sprintf("%d carried, %d changed, %d not carried", o.Count(Carried), o.Count(Changed), o.Count(NotCarried))
}

// cell returns what became of a line, as a cell of a table.
func (l *Line) cell() string {
	var parts []string
	for _, n := range l.Notes {
		text := markdown(n.What)
		if n.Hint != "" {
			text += ". Hint: " + code(n.Hint)
		}
		parts = append(parts, text)
	}
	for _, w := range l.Written {
		parts = append(parts, code(escape.Printable(w, 0)))
	}
	return strings.Join(parts, "<br>")
}

// markdown returns text that Markdown shows as it is, in one cell of a table.
func markdown(text string) string {
	var b strings.Builder
	for _, c := range text {
		if strings.ContainsRune("\\`*_{}[]<>#|~&", c) {
			fmt.Fprintf(&b, "&#%d;", c)
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

// codeEscapes are the characters that Markdown does not show as they are in a line of HTML.
var codeEscapes = strings.NewReplacer("|", "&#124;", "`", "&#96;", "*", "&#42;", "_", "&#95;", "[", "&#91;", "\\", "&#92;")

// code returns text in the letters of code.
func code(text string) string {
	return "<code>" + codeEscapes.Replace(html.EscapeString(text)) + "</code>"
}
