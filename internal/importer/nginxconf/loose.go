package nginxconf

import (
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// reportLoose reports a pattern that is not carried, and who could forge what with it. With --each it
// carries the certificates at hand that it names.
func (t *translation) reportLoose(l *importer.Line, r *role, e *entry, why string) {
	if forged := t.forge(r, e); forged != "" {
		why += ": " + forged
	}
	all := t.in.Certificates.All()
	if len(all) == 0 {
		l.Skip(why, "anchor the pattern: ^CN=(?<cn>[^,]+),OU=…,O=…$; or --certs FOLDER with the certificates of the users, and --each")
		return
	}
	named := 0
	for _, c := range all {
		if user, by, known := t.certificateUser(c); known && by == e && user != "" {
			named++
		}
	}
	why += fmt.Sprintf(". Of the %d certificates in --certs it names %d", len(all), named)
	if !t.options.Each {
		l.Skip(why, "--each writes them one by one")
		return
	}
	done := map[*entry]bool{}
	t.carryEach(func(by *entry) bool { return by == e }, done)
	if done[e] {
		l.Change(why + ": only these are written")
		return
	}
	l.Skip(why, "")
}

// forge returns a sentence about a subject that a stranger could ask an authority for, and the
// user that it would be, or "".
func (t *translation) forge(r *role, e *entry) string {
	p := t.pattern(e)
	if p == nil || r.source.Kind != "subject" {
		return ""
	}
	core := ""
	for _, one := range p.Pieces {
		switch {
		case one.Set == "":
			core += one.Literal
		case one.Capture > 0:
			core += "alice"
		default:
			core += "x"
		}
	}
	honest := p.Match.FindStringSubmatch(core)
	if honest == nil {
		return ""
	}
	user, ok := expand(p, t.userOf(r, e.value), honest)
	if !ok {
		return ""
	}
	forms := []string{"UID=" + core + ",CN=mallory,O=Elsewhere", "CN=mallory,OU=" + core + ",O=Elsewhere", core + ",O=Elsewhere", "CN=mallory," + core + ",O=Elsewhere", core + "x", "CN=mallory,OU=x" + core}
	if strings.HasSuffix(r.block.source, "_legacy") {
		forms = []string{"/O=Elsewhere" + core, "/O=Elsewhere/OU=x" + core + "/CN=mallory", core + "/CN=mallory", core + "x"}
	}
	for _, subject := range forms {
		if found := p.Match.FindStringSubmatch(subject); found != nil {
			if got, ok := expand(p, t.userOf(r, e.value), found); ok && got == user {
				return fmt.Sprintf("a certificate with the subject %s is user %s there", escape.Quote(subject, escape.Short), escape.Quote(user, escape.Short))
			}
		}
	}
	return ""
}
