package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

type importCmd struct {
	CSV        importCSVCmd        `cmd:"" name:"csv" help:"Import a table of users and certificates."`
	Nginx      importNginxCmd      `cmd:"" help:"Import the maps of nginx."`
	HAProxy    importHAProxyCmd    `cmd:"" name:"haproxy" help:"Import map and acl files of HAProxy."`
	PGIdent    importPGIdentCmd    `cmd:"" name:"pgident" help:"Import a user name map of PostgreSQL."`
	WebMethods importWebMethodsCmd `cmd:"" name:"webmethods" help:"Import the ports, ACLs and users of an Integration Server."`
	Kong       importKongCmd       `cmd:"" help:"Import the declarative configuration of Kong."`
	Vault      importVaultCmd      `cmd:"" help:"Import roles of the auth method cert of Vault and OpenBao."`
	Apache     importApacheCmd     `cmd:"" help:"Import the users, groups and Location sections of FakeBasicAuth of Apache httpd."`
	IIS        importIISCmd        `cmd:"" name:"iis" help:"Import the one-to-one client certificate mappings of IIS."`
	NATS       importNATSCmd       `cmd:"" name:"nats" help:"Import the users of NATS that are found by certificates."`
}

// importFlags are the flags of every format.
type importFlags struct {
	Out        string   `required:"" placeholder:"FOLDER" help:"Write users.yaml, policy.csv, ports.yaml, as far as the source has their content, and REPORT.md. Nothing is overwritten."`
	Certs      []string `sep:"none" placeholder:"FOLDER" help:"Certificates of the users, in PEM, DER or PKCS#12 without a password: files or folders. With them, names and SHA-1 digests become exact mappings. Repeatable."`
	Issuer     []string `sep:"none" placeholder:"FILE" help:"The authorities that issue for the users. Repeatable."`
	Rename     []string `sep:"none" placeholder:"OLD=NEW" help:"Write the user or group NEW for OLD of the source. Repeatable."`
	RenameFile string   `placeholder:"FILE" help:"The same, one OLD=NEW a line."`
	Narrow     bool     `help:"Where a denial cannot be carried, leave out the grants that it limits. Without it nothing is written then."`
}

// importHelp is the end of the help of every format.
const importHelp = `

The result never allows more than the source: lines that cannot be carried over exactly are left out, and REPORT.md lists them. The result is loaded before it is written.

Exit status: 0 every line was carried, 1 a line was not, 2 nothing was written.`

// importReport is the JSON of import.
type importReport struct {
	Files        []string         `json:"files"`
	Mappings     int              `json:"mappings"`
	Rules        int              `json:"rules"`
	Ports        int              `json:"ports"`
	Decisions    int              `json:"decisions"`
	Carried      int              `json:"carried"`
	Changed      int              `json:"changed"`
	NotCarried   int              `json:"not_carried"`
	Lines        []importedLine   `json:"lines"`
	Remarks      []string         `json:"remarks"`
	Certificates []importer.Proof `json:"certificates"`
}

type importedLine struct {
	File    string          `json:"file"`
	Line    int             `json:"line,omitempty"`
	Source  string          `json:"source"`
	Result  importer.Result `json:"result"`
	Written []string        `json:"written"`
	Notes   []importer.Note `json:"notes"`
}

// run imports with a format's reader, and writes and prints the result.
func (f *importFlags) run(a *app, format string, read func(*importer.Import) error) error {
	o := importer.Options{Format: format, Certificates: f.Certs, Issuers: f.Issuer, Narrow: f.Narrow}
	var err error
	if o.Rename, err = f.renames(); err != nil {
		return err
	}
	in, err := importer.New(o)
	if err != nil {
		return err
	}
	if err := read(in); err != nil {
		return err
	}
	out, err := in.Finish()
	if err != nil {
		return err
	}
	names, err := f.write(out.Files)
	if err != nil {
		return err
	}
	a.changed = f.Out
	if a.json {
		err = a.printJSON(newImportReport(out, names))
	} else {
		printImport(a, out, names)
	}
	if err == nil && out.Count(importer.NotCarried) > 0 {
		return errNegative
	}
	return err
}

// renames returns the names to rename. The new name of a line follows its last =, because a
// name here has none.
func (f *importFlags) renames() (map[string]string, error) {
	out := map[string]string{}
	var errs errorlist.List
	add := func(text string, at configerror.Error) {
		i := strings.LastIndexByte(text, '=')
		if i < 1 {
			at.What, at.Hint = escape.Quote(text, escape.Short)+" is not OLD=NEW", "the name in the source, =, and the name here"
			if at.File == "" {
				at.What = "--rename: " + at.What
			}
			errs.Add(at)
			return
		}
		out[text[:i]] = text[i+1:]
	}
	for _, text := range f.Rename {
		add(text, configerror.Error{})
	}
	if f.RenameFile == "" {
		return out, errs.Err()
	}
	data, err := certfile.ReadFile(f.RenameFile)
	if err != nil {
		return nil, err
	}
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\uFEFF")) {
		number++
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			add(line, configerror.Error{File: f.RenameFile, Line: number})
		}
	}
	return out, errs.Err()
}

// write writes the files. If one of the names is taken, it writes none.
func (f *importFlags) write(files []importer.File) ([]string, error) {
	if err := makeFolder(f.Out); err != nil {
		return nil, err
	}
	var names []string
	for _, one := range files {
		names = append(names, filepath.Join(f.Out, one.Name))
	}
	if err := checkUnused(names); err != nil {
		return nil, err
	}
	for i, one := range files {
		if err := writeNewFile(names[i], one.Data, 0o644); err != nil {
			for _, name := range names[:i] {
				_ = os.Remove(name) // written by this command; the error is the one to report
			}
			return nil, err
		}
	}
	return names, nil
}

// makeFolder makes the folder of --out.
func makeFolder(name string) error {
	if err := os.MkdirAll(name, 0o700); err != nil {
		return usageError("--out: the folder "+strconv.Quote(name)+" cannot be created", "name a folder in which you may write")
	}
	return nil
}

// checkUnused returns an error for each name of a file that exists.
func checkUnused(names []string) error {
	var errs errorlist.List
	for _, name := range names {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			errs.Add(configerror.Error{File: name, What: "the file exists already", Hint: "--out another folder, or move the file"})
		}
	}
	return errs.Err()
}

func newImportReport(out *importer.Output, names []string) importReport {
	r := importReport{
		Files: names, Mappings: out.Mappings, Rules: out.Rules, Ports: out.Ports, Decisions: len(out.Expected),
		Carried: out.Count(importer.Carried), Changed: out.Count(importer.Changed), NotCarried: out.Count(importer.NotCarried),
		Lines: []importedLine{}, Remarks: append([]string{}, out.Remarks...), Certificates: append([]importer.Proof{}, out.Certificates...),
	}
	for _, l := range out.Lines {
		r.Lines = append(r.Lines, importedLine{l.File, l.Line, l.Text, l.Result, append([]string{}, l.Written...), append([]importer.Note{}, l.Notes...)})
	}
	return r
}

// printImport prints the files, and the lines that were changed or not carried.
func printImport(a *app, out *importer.Output, names []string) {
	content := map[string]string{
		"users.yaml": plural(out.Mappings, "mapping", "mappings"), "policy.csv": plural(out.Rules, "line", "lines"), "ports.yaml": plural(out.Ports, "port", "ports"),
		"expected.txt": plural(len(out.Expected), "decision", "decisions"), "REPORT.md": "lines of the source: " + out.Summary(),
	}
	var rows [][]string
	for i, name := range names {
		text := content[out.Files[i].Name]
		if text == "" {
			text = "an issuer"
		}
		rows = append(rows, []string{name, text})
	}
	a.printTable("", rows)
	for _, result := range []importer.Result{importer.Changed, importer.NotCarried} {
		for _, l := range out.Lines {
			for _, n := range l.Notes {
				if l.Result != result {
					continue
				}
				e := configerror.Error{File: l.File, Line: l.Line}
				a.printf("%s: %s: %s\n", escape.Printable(e.Position(), 0), result, n.What)
				if n.Hint != "" {
					a.printf("hint: %s\n", n.Hint)
				}
			}
		}
	}
	for _, r := range out.Remarks {
		a.printf("warning: %s\n", escape.Printable(r, 0))
	}
}
