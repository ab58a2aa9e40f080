package importer

import (
	"fmt"
	"path/filepath"

	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// ReadAuthorities adds the authorities in files that a source names by a directive, unless the
// command line names some. A file that is not there is a remark.
func (in *Import) ReadAuthorities(source, directive string, names []string) {
	if in.HasAuthorities() {
		return
	}
	for _, name := range names {
		path, err := in.Inside(source, name)
		if err != nil {
			in.Remark(fmt.Sprintf("%s %s is not in the folder of %s: --issuer FILE", directive, escape.Quote(name, escape.Short), filepath.Base(source)))
			continue
		}
		entries, err := certfile.Read(path, certfile.Passwords{})
		if err != nil {
			in.Remark(directive + ": " + err.Error())
			continue
		}
		for _, e := range entries {
			for _, c := range append(e.Chain, e.Replaced...) {
				if c.IsCA {
					in.AddAuthority(baseName(path), c)
				}
			}
		}
	}
}
