package trust_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
)

// The hint for a CRL of version 1 makes one of version 2 with the same entries.
func TestCRLOfVersion1IsMadeVersion2ByTheHint(t *testing.T) {
	t.Parallel()
	const first = `
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=Client CA" -days 9 -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca-key.pem -out ca.pem
printf 'R\t491231235959Z\t260101000000Z\t07\tunknown\t/CN=a\nR\t491231235959Z\t260101000000Z\t08\tunknown\t/CN=b\n' > index.txt
printf '[ca]\ndefault_ca=list\n[list]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=9\n' > ca.cnf
`
	const issue = "openssl ca -config ca.cnf -cert ca.pem -keyfile ca-key.pem -gencrl -out ca.crl\nopenssl crl -in ca.crl -outform DER -out ca.der\n"
	read := openssl(t, first+issue)
	hint := ""
	for _, name := range []string{"ca.crl", "ca.der"} {
		_, err := trustaccess.ReadCRLs(name, read(name))
		all := configerror.All(err)
		if len(all) != 1 || !strings.Contains(all[0].What, "the CRL is of version 1") || all[0].Line != 1 || !strings.Contains(all[0].Hint, "default_ca") {
			t.Fatalf("%s: got %v, want the version in line 1 with a hint", name, err)
		}
		hint = all[0].Hint
	}
	_, setting, _ := strings.Cut(hint, "add ")
	setting, _, _ = strings.Cut(setting, " ")
	_, command, _ := strings.Cut(hint, "run ")
	command, _, _ = strings.Cut(command, " in the folder")
	read = openssl(t, first+"echo "+setting+" >> ca.cnf\n"+command+"\n"+issue) // the section is the last one
	for _, name := range []string{"ca.crl", "ca.der"} {
		lists, err := trustaccess.ReadCRLs(name, read(name))
		if err != nil || len(lists) != 1 || len(lists[0].List.RevokedCertificateEntries) != 2 {
			t.Errorf("%s: got %v, want a list with two entries", name, err)
		}
	}
}
