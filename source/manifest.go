package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
)

// Limits of a generation. They are checked before anything is read.
const (
	maxFile        = 256 << 20 // bytes of one file
	maxGeneration  = 512 << 20 // bytes of all files of a generation
	maxFiles       = 1000      // files of a generation
	MaxManifest    = 512 << 10 // MaxManifest is the greatest size of a manifest, in bytes.
	maxSignatures  = 16        // signatures of a manifest
	maxName        = 255       // bytes of the name of a file
	maxText        = 4 << 10   // bytes of author, note and the like
	maxPorts       = 1000
	manifestFormat = 1
)

// Manifest describes a generation. Its encoding is signed and hashed as it was written; it is
// never encoded again.
type Manifest struct {
	Format int       `json:"format"`          // 1; another format is refused, because its keys may mean anything
	Fleet  string    `json:"fleet"`           // name of the fleet
	Number uint64    `json:"number"`          // from 1; one more than that of the parent
	Parent Digest    `json:"parent,omitzero"` // of the manifest of the parent; zero for number 1
	At     time.Time `json:"at"`              // when it was written, by the clock of the author
	Author string    `json:"author"`          // user of mtlsguard, or system account, who wrote it
	By     string    `json:"by,omitempty"`    // fingerprint of the author's certificate
	Note   string    `json:"note,omitempty"`  // why it was written
	// Restores is the number of the generation whose users and policy this one has again; 0 if
	// it is not a rollback.
	Restores uint64 `json:"restores,omitempty"`
	// Ports are the names of ports of the whole fleet. Rules and mappings may name them on nodes that do not
	// have such a port.
	Ports []string `json:"ports,omitempty"`
	Files []File   `json:"files"` // sorted by name
}

// File is a file of a generation.
type File struct {
	Name   string `json:"name"`   // as for io/fs, such as crls/ca.crl; no part begins with a dot
	Size   int64  `json:"size"`   // in bytes
	SHA256 Digest `json:"sha256"` // of the content
}

// parseManifest reads and checks a manifest. Unknown keys, keys that occur twice and other formats
// are errors: a node that does not know what a key means cannot apply the generation.
func parseManifest(raw []byte) (Manifest, error) {
	var m Manifest
	if len(raw) > MaxManifest {
		return m, fmt.Errorf("the manifest has more than %d KiB", MaxManifest>>10)
	}
	var format struct {
		Format *int `json:"format"`
	}
	if err := json.Unmarshal(raw, &format); err != nil {
		return m, fmt.Errorf("the manifest is not valid JSON: %w", err)
	}
	switch {
	case format.Format == nil:
		return m, errors.New("the manifest has no format: this version of mtlsguard reads format 1")
	case *format.Format > manifestFormat:
		return m, fmt.Errorf("the manifest has format %d: a newer mtlsguard wrote it, and this version reads format %d: update this node first", *format.Format, manifestFormat)
	case *format.Format < manifestFormat:
		return m, fmt.Errorf("the manifest has format %d: this version of mtlsguard reads format %d", *format.Format, manifestFormat)
	}
	if err := decodeStrict(raw, &m); err != nil {
		return Manifest{}, fmt.Errorf("the manifest cannot be read: %w", err)
	}
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("the manifest is wrong: %w", err)
	}
	return m, nil
}

// check returns what is wrong with a manifest.
func (m *Manifest) check() error {
	switch {
	case m.Fleet == "":
		return errors.New("fleet is empty")
	case m.Number == 0:
		return errors.New("number is 0: numbers begin with 1")
	case m.Number == 1 && m.Parent != Digest{}:
		return errors.New("number 1 has a parent")
	case m.Number > 1 && m.Parent == Digest{}:
		return fmt.Errorf("number %d has no parent", m.Number)
	case m.Author == "":
		return errors.New("author is empty")
	case m.Restores >= m.Number:
		return fmt.Errorf("restores is %d: it must be below the number, %d", m.Restores, m.Number)
	case len(m.Files) == 0:
		return errors.New("files is empty")
	case len(m.Files) > maxFiles:
		return fmt.Errorf("there are %d files, and at most %d are allowed", len(m.Files), maxFiles)
	case len(m.Ports) > maxPorts:
		return fmt.Errorf("there are %d ports, and at most %d are allowed", len(m.Ports), maxPorts)
	}
	for _, text := range append([]string{m.Fleet, m.Author, m.By, m.Note}, m.Ports...) {
		if len(text) > maxText {
			return fmt.Errorf("%q is longer than %d bytes", shorten(text), maxText)
		}
	}
	return checkFiles(m.Files)
}

// checkFiles checks the names and sizes of files.
func checkFiles(files []File) error {
	var total int64
	names := make(map[string]string, len(files)) // by the name in lower case
	for i, f := range files {
		if err := checkName(f.Name); err != nil {
			return err
		}
		switch {
		case f.Size < 0 || f.Size > maxFile:
			return fmt.Errorf("file %s has size %d: 0 to %d are allowed", f.Name, f.Size, maxFile)
		case i > 0 && files[i-1].Name >= f.Name:
			return fmt.Errorf("file %s is not in its place: files are sorted by name, and each is there once", f.Name)
		}
		if total += f.Size; total > maxGeneration {
			return fmt.Errorf("the files have more than %d MiB", maxGeneration>>20)
		}
		folded := strings.ToLower(f.Name)
		if other, ok := names[folded]; ok {
			return fmt.Errorf("the files %s and %s differ in case only: on some systems they would be one", other, f.Name)
		}
		names[folded] = f.Name
	}
	for _, f := range files {
		for name := strings.ToLower(f.Name); strings.Contains(name, "/"); {
			name = name[:strings.LastIndexByte(name, '/')]
			if file, ok := names[name]; ok {
				return fmt.Errorf("%s is a file, and also the folder of %s", file, f.Name)
			}
		}
	}
	return nil
}

// checkName checks the name of a file. It must mean the same file on every system.
func checkName(name string) error {
	what := ""
	switch {
	case len(name) > maxName:
		what = fmt.Sprintf("is longer than %d bytes", maxName)
	case !fs.ValidPath(name) || name == ".":
		what = "is not a path as in io/fs, such as crls/ca.crl"
	case strings.HasPrefix(name, ".") || strings.Contains(name, "/."):
		what = "has a part that begins with a dot"
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == ':' }):
		what = "has a control character, a backslash or a colon"
	case isReserved(name):
		what = "is reserved"
	default:
		return nil
	}
	return fmt.Errorf("the name of the file %q %s", shorten(name), what)
}

// isReserved reports whether a file would be in the place of those that a Keep writes, or below
// it, also where case does not count.
func isReserved(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return strings.EqualFold(first, manifestFile) || strings.EqualFold(first, signatureFile)
}

// decodeStrict decodes one JSON value, without unknown keys, keys in other case, keys that occur twice, or
// anything after it.
func decodeStrict(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is text after its end")
	}
	return checkKeys(json.NewDecoder(bytes.NewReader(raw)))
}

// checkKeys rejects a key that occurs twice in an object, or that has other characters than lower-case
// letters and digits: other readers could choose another one of two, or miss it. To encoding/json
// "\u017f" is an s.
func checkKeys(d *json.Decoder) error {
	var open []map[string]bool // the keys of each open object; nil for an array
	key := false               // whether the next token is a key
	for {
		t, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case json.Delim:
			switch t {
			case '{':
				open = append(open, map[string]bool{})
			case '[':
				open = append(open, nil)
			default:
				open = open[:len(open)-1]
			}
			key = true
		case string:
			if key && len(open) > 0 && open[len(open)-1] != nil {
				keys := open[len(open)-1]
				if keys[t] || strings.ContainsFunc(t, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
					return fmt.Errorf("the key %q occurs twice, or is not in lower case", shorten(t))
				}
				keys[t], key = true, false
				continue
			}
			key = true
		default:
			key = true
		}
	}
}
