package importer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// ErrDefect is wrapped by the error for a result that does not load, or that is wider than the
// source as far as the format shows.
var ErrDefect = errors.New("nothing was written: this is a defect of mtlsguard import")

// Output is what an import has made.
type Output struct {
	Files        []File
	Lines        []*Line // in the order of the source
	Remarks      []string
	Expected     []Expectation
	Certificates []Proof
	Mappings     int
	Rules        int // with memberships
	Ports        int
}

// File is a file to write into the folder of the result.
type File struct {
	Name string
	Data []byte
}

// Count returns the number of lines with a result.
func (o *Output) Count(r Result) int {
	n := 0
	for _, l := range o.Lines {
		if l.Result == r {
			n++
		}
	}
	return n
}

// Finish returns the files of the result after loading them. It is an error if a denial is not
// carried, or nothing could be.
func (in *Import) Finish() (*Output, error) {
	if err := in.resolveConflicts(); err != nil {
		return nil, defect(err)
	}
	in.remarkUnusedRenames()
	if names := in.Certificates.unreadable; len(names) > 0 {
		in.Remark(fmt.Sprintf("--certs: files without a certificate that can be read: %d, such as %s", len(names), names[0]))
	}
	slices.SortStableFunc(in.lines, func(a, b *Line) int { return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.Line, b.Line)) })
	if err := in.blocked(); err != nil {
		return nil, err
	}
	table, err := in.loadUsers(in.mappings)
	if err != nil {
		return nil, defect(err)
	}
	if err := in.checkPolicy(); err != nil {
		return nil, defect(err)
	}
	if len(in.ports) > 0 {
		if err := checkPorts(in.ports); err != nil {
			return nil, defect(err)
		}
	}
	proofs, err := in.prove(table)
	if err != nil {
		return nil, defect(err)
	}
	for _, m := range in.mappings {
		m.line.Written = append(m.line.Written, "users.yaml: "+m.ID)
	}
	out := &Output{Lines: in.lines, Remarks: in.remarks, Expected: in.expected, Certificates: proofs, Mappings: len(in.mappings), Rules: len(in.rules), Ports: len(in.ports)}
	out.Files = in.files(out)
	return out, nil
}

func defect(err error) error {
	return errors.Join(err, &configerror.Error{What: ErrDefect.Error(), Hint: "report the source's line"}, ErrDefect)
}

// blocked returns the errors for which nothing is written.
func (in *Import) blocked() error {
	var errs errorlist.List
	for _, l := range in.lines {
		for _, n := range l.blocks {
			errs.Add(configerror.Error{File: l.File, Line: l.Line, What: "leaving this line out would let a caller in: " + escape.Printable(n.What, 0), Hint: cmp.Or(n.Hint, "change the line in the source") + "; or --narrow, which leaves the grants out that it limits"})
		}
	}
	if errs.Len() > 0 || len(in.mappings)+len(in.rules)+len(in.ports) > 0 {
		return errs.Err()
	}
	for _, l := range in.lines {
		for _, n := range l.Notes {
			if l.Result == NotCarried {
				errs.Add(configerror.Error{File: l.File, Line: l.Line, What: n.What, Hint: n.Hint})
			}
		}
	}
	if errs.Len() == 0 {
		name := ""
		if len(in.sources) > 0 {
			name = in.sources[0]
		}
		errs.Add(configerror.Error{File: name, What: "the source holds nothing that can be carried", Hint: "docs/import.md lists what each format carries"})
	}
	return errs.Err()
}

// comment returns the place of a line for a comment in a file.
func (l *Line) comment() string {
	name := escape.Printable(l.File, 0)
	if l.Line == 0 {
		return name
	}
	return fmt.Sprintf("%s:%d", name, l.Line)
}

// usersText returns users.yaml.
func (in *Import) usersText(mappings []*mapping) string {
	var b strings.Builder
	if len(mappings) == 0 {
		return "mappings: []\n"
	}
	b.WriteString("mappings:\n")
	for _, m := range mappings {
		b.WriteString("  " + m.text + "  # " + m.line.comment())
		if m.Note != "" {
			b.WriteString(", " + escape.Printable(m.Note, maxText))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// policyText returns policy.csv. A comment names the lines of the source before each group of
// lines.
func (in *Import) policyText() string {
	var b strings.Builder
	var last *Line
	for _, r := range in.rules {
		if r.line != last {
			fmt.Fprintf(&b, "# %s\n", r.line.comment())
		}
		last = r.line
		b.WriteString(r.text + "\n")
	}
	return b.String()
}

// files returns the files to write.
func (in *Import) files(out *Output) []File {
	head := fmt.Sprintf("# mtlsguard import %s: REPORT.md lists what was carried, and what was not.\n", in.options.Format)
	var files []File
	add := func(name, text string) { files = append(files, File{name, []byte(text)}) }
	if len(in.mappings) > 0 {
		add("users.yaml", head+in.usersText(in.mappings))
	}
	if len(in.rules) > 0 {
		add("policy.csv", head+in.policyText())
	}
	if len(in.ports) > 0 {
		add("ports.yaml", head+portsText(in.ports))
	}
	if len(in.expected) > 0 {
		add("expected.txt", head+expectedText(in.expected))
	}
	for _, a := range in.authorities {
		if slices.ContainsFunc(in.mappings, func(m *mapping) bool { return m.Issuer == a }) {
			files = append(files, File{a.Name, a.pem()})
		}
	}
	add("REPORT.md", in.report(out))
	return files
}
