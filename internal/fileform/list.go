package fileform

// Version1 is what is wrong with a CRL of version 1, and Version2Hint how openssl ca makes
// one of version 2.
const (
	Version1     = "the CRL is of version 1, and RFC 5280 section 5.1.2.1 requires version 2"
	Version2Hint = "openssl ca makes version 2 if it numbers its CRLs: add crlnumber=crlnumber to the section of its configuration that default_ca names, run echo 01 > crlnumber in the folder where openssl ca runs, and issue the CRL again"
)

// IsVersion1List reports whether DER is a CRL without a version, which stands for version 1.
func IsVersion1List(der []byte) bool {
	kind := tags(firstBody(firstBody(der)), 3)
	return kind == "\x30\x30\x17" || kind == "\x30\x30\x18" // algorithm, issuer, date
}
