package importer

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// Options are what every format has on its command line.
type Options struct {
	Format       string            // such as csv; ids begin with it
	Certificates []string          // files and folders with certificates of users
	Issuers      []string          // files with the authorities that issue for users
	Rename       map[string]string // names of the source, and the names here
	Narrow       bool              // leave out the grants that a denial limits which cannot be carried
}

// Import collects what a source means here.
type Import struct {
	Certificates *Certificates

	// SourceUser returns the user that the source takes a certificate for, "" for none. It returns
	// false if that is not known. A nil function means that no user is known.
	SourceUser func(*Certificate) (user string, known bool)

	// SourceUsers does so in place of SourceUser for a source in which the client chooses one of
	// several users. The names are those here: see Rename.
	SourceUsers func(*Certificate) (users []string, known bool)

	FirstWins bool // of two lines for one certificate the first decides

	options Options
	sources []string // names of the files, in their order
	lines   []*Line
	byPlace map[lineKey]*Line
	remarks []string
	renamed map[string]bool // the names of Options.Rename that occurred

	authorities []*Authority
	issued      map[issuedKey]bool // by one of the authorities
	mappings    []*mapping
	ids         map[string]bool
	rules       []rule
	ruleTexts   map[string]bool
	ports       []port
	expected    []Expectation
	expects     map[Expectation]bool
}

// New reads the certificates and issuers.
func New(o Options) (*Import, error) {
	in := &Import{options: o, byPlace: map[lineKey]*Line{}, expects: map[Expectation]bool{}, renamed: map[string]bool{}, ids: map[string]bool{}, ruleTexts: map[string]bool{}, issued: map[issuedKey]bool{}}
	var errs errorlist.List
	for from, to := range o.Rename {
		if !username.IsUser(to) {
			errs.Add(configerror.Error{What: fmt.Sprintf("--rename: %q for %q is not a user name", to, from), Hint: username.Hint})
		}
	}
	for _, name := range o.Issuers {
		errs.Merge(in.readIssuers(name), configerror.Error{File: name})
	}
	certificates, err := readCertificates(o.Certificates)
	errs.Merge(err, configerror.Error{})
	if err := errs.Err(); err != nil {
		return nil, err
	}
	in.Certificates = certificates
	return in, nil
}

// Narrow reports whether grants are left out that a denial limits which cannot be carried.
func (in *Import) Narrow() bool { return in.options.Narrow }

// Remark reports a difference that concerns every line. A repeated one is reported once.
func (in *Import) Remark(text string) {
	if !slices.Contains(in.remarks, text) {
		in.remarks = append(in.remarks, text)
	}
}

// Rename returns the name here for a name of the source, and whether --rename has it.
func (in *Import) Rename(name string) (to string, renamed bool) {
	to, renamed = in.options.Rename[name]
	if !renamed {
		return name, false
	}
	in.renamed[name] = true
	return to, true
}

// Renames returns the names of --rename, and the names here.
func (in *Import) Renames() map[string]string { return maps.Clone(in.options.Rename) }

// remarkUnusedRenames reports the names to rename that the source does not have.
func (in *Import) remarkUnusedRenames() {
	var unused []string
	for from := range in.options.Rename {
		if !in.renamed[from] {
			unused = append(unused, fmt.Sprintf("%q", from))
		}
	}
	if len(unused) > 0 {
		slices.Sort(unused)
		in.Remark("--rename: no line of the source names " + strings.Join(unused, ", "))
	}
}

// Expectation is a request with the source's decision, for policy test.
type Expectation struct {
	User, Port, Method, Path string // Port may be *
	Allow                    bool
}

// Expect adds a request to the table that must hold for policy.csv.
func (in *Import) Expect(e Expectation) {
	if !in.expects[e] {
		in.expects[e] = true
		in.expected = append(in.expected, e)
	}
}

// rule is a line of policy.csv.
type rule struct {
	text string
	line *Line
}
