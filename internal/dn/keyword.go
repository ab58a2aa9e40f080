package dn

import "strings"

// keywords are the names of attribute types, read in any case; String prints the first
// of each. They are those of RFC 4514 section 3, and all names of attributes of a subject
// that OpenSSL, keytool, Windows and GnuTLS print. OpenSSL's name "uid" for the type
// uniqueIdentifier is missing: RFC 4514 has UID for userId, in any case.
var keywords = []struct {
	oid   string
	names []string
}{
	{"2.5.4.3", []string{"CN", "commonName"}},
	{"2.5.4.7", []string{"L", "localityName"}},
	{"2.5.4.8", []string{"ST", "S", "stateOrProvinceName"}},
	{"2.5.4.10", []string{"O", "organizationName"}},
	{"2.5.4.11", []string{"OU", "organizationalUnitName"}},
	{"2.5.4.6", []string{"C", "countryName"}},
	{"2.5.4.9", []string{"STREET", "streetAddress"}},
	{"0.9.2342.19200300.100.1.25", []string{"DC", "domainComponent"}},
	{"0.9.2342.19200300.100.1.1", []string{"UID", "userId"}},
	{"1.2.840.113549.1.9.1", []string{"emailAddress", "E", "EMAIL"}},
	{"2.5.4.5", []string{"serialNumber"}},
	{"2.5.4.4", []string{"SN", "surname"}},
	{"2.5.4.42", []string{"GN", "G", "givenName"}},
	{"2.5.4.12", []string{"T", "title"}},
	{"2.5.4.43", []string{"initials", "I"}},
	{"2.5.4.44", []string{"generationQualifier", "GENERATION"}},
	{"2.5.4.46", []string{"dnQualifier", "DNQ"}},
	{"2.5.4.65", []string{"pseudonym"}},
	{"2.5.4.41", []string{"name"}},
	{"2.5.4.13", []string{"description"}},
	{"2.5.4.15", []string{"businessCategory"}},
	{"2.5.4.17", []string{"postalCode"}},
	{"2.5.4.97", []string{"organizationIdentifier"}},
	{"1.2.840.113549.1.9.2", []string{"unstructuredName"}},
	{"1.3.6.1.4.1.311.60.2.1.1", []string{"jurisdictionLocalityName", "jurisdictionL", "jurisdictionOfIncorporationLocalityName"}},
	{"1.3.6.1.4.1.311.60.2.1.2", []string{"jurisdictionStateOrProvinceName", "jurisdictionST", "jurisdictionOfIncorporationStateOrProvinceName"}},
	{"1.3.6.1.4.1.311.60.2.1.3", []string{"jurisdictionCountryName", "jurisdictionC", "jurisdictionOfIncorporationCountryName"}},
	{"2.5.4.14", []string{"searchGuide"}},
	{"2.5.4.16", []string{"postalAddress"}},
	{"2.5.4.18", []string{"postOfficeBox", "POBox"}},
	{"2.5.4.19", []string{"physicalDeliveryOfficeName"}},
	{"2.5.4.20", []string{"telephoneNumber", "Phone"}},
	{"2.5.4.21", []string{"telexNumber"}},
	{"2.5.4.22", []string{"teletexTerminalIdentifier"}},
	{"2.5.4.23", []string{"facsimileTelephoneNumber"}},
	{"2.5.4.24", []string{"x121Address", "X21Address"}},
	{"2.5.4.25", []string{"internationaliSDNNumber"}},
	{"2.5.4.26", []string{"registeredAddress"}},
	{"2.5.4.27", []string{"destinationIndicator"}},
	{"2.5.4.28", []string{"preferredDeliveryMethod"}},
	{"2.5.4.29", []string{"presentationAddress"}},
	{"2.5.4.30", []string{"supportedApplicationContext"}},
	{"2.5.4.31", []string{"member"}},
	{"2.5.4.32", []string{"owner"}},
	{"2.5.4.33", []string{"roleOccupant"}},
	{"2.5.4.34", []string{"seeAlso"}},
	{"2.5.4.35", []string{"userPassword"}},
	{"2.5.4.36", []string{"userCertificate"}},
	{"2.5.4.37", []string{"cACertificate"}},
	{"2.5.4.38", []string{"authorityRevocationList"}},
	{"2.5.4.39", []string{"certificateRevocationList"}},
	{"2.5.4.40", []string{"crossCertificatePair"}},
	{"2.5.4.45", []string{"x500UniqueIdentifier"}},
	{"2.5.4.47", []string{"enhancedSearchGuide"}},
	{"2.5.4.48", []string{"protocolInformation"}},
	{"2.5.4.49", []string{"distinguishedName"}},
	{"2.5.4.50", []string{"uniqueMember"}},
	{"2.5.4.51", []string{"houseIdentifier"}},
	{"2.5.4.52", []string{"supportedAlgorithms"}},
	{"2.5.4.53", []string{"deltaRevocationList"}},
	{"2.5.4.54", []string{"dmdName"}},
	{"2.5.4.72", []string{"role"}},
	{"2.5.4.98", []string{"c3", "countryCode3c"}},
	{"2.5.4.99", []string{"n3", "countryCode3n"}},
	{"2.5.4.100", []string{"dnsName"}},
	{"1.2.643.100.1", []string{"OGRN"}},
	{"1.2.643.100.3", []string{"SNILS"}},
	{"1.2.643.100.5", []string{"OGRNIP"}},
	{"0.9.2342.19200300.100.1.2", []string{"textEncodedORAddress"}},
	{"0.9.2342.19200300.100.1.3", []string{"mail", "rfc822Mailbox"}},
	{"0.9.2342.19200300.100.1.4", []string{"info"}},
	{"0.9.2342.19200300.100.1.5", []string{"favouriteDrink", "drink"}},
	{"0.9.2342.19200300.100.1.6", []string{"roomNumber"}},
	{"0.9.2342.19200300.100.1.7", []string{"photo"}},
	{"0.9.2342.19200300.100.1.8", []string{"userClass"}},
	{"0.9.2342.19200300.100.1.9", []string{"host"}},
	{"0.9.2342.19200300.100.1.10", []string{"manager"}},
	{"0.9.2342.19200300.100.1.11", []string{"documentIdentifier"}},
	{"0.9.2342.19200300.100.1.12", []string{"documentTitle"}},
	{"0.9.2342.19200300.100.1.13", []string{"documentVersion"}},
	{"0.9.2342.19200300.100.1.14", []string{"documentAuthor"}},
	{"0.9.2342.19200300.100.1.15", []string{"documentLocation"}},
	{"0.9.2342.19200300.100.1.20", []string{"homeTelephoneNumber"}},
	{"0.9.2342.19200300.100.1.21", []string{"secretary"}},
	{"0.9.2342.19200300.100.1.22", []string{"otherMailbox"}},
	{"0.9.2342.19200300.100.1.23", []string{"lastModifiedTime"}},
	{"0.9.2342.19200300.100.1.24", []string{"lastModifiedBy"}},
	{"0.9.2342.19200300.100.1.26", []string{"aRecord"}},
	{"0.9.2342.19200300.100.1.27", []string{"pilotAttributeType27"}},
	{"0.9.2342.19200300.100.1.28", []string{"mXRecord"}},
	{"0.9.2342.19200300.100.1.29", []string{"nSRecord"}},
	{"0.9.2342.19200300.100.1.30", []string{"sOARecord"}},
	{"0.9.2342.19200300.100.1.31", []string{"cNAMERecord"}},
	{"0.9.2342.19200300.100.1.37", []string{"associatedDomain"}},
	{"0.9.2342.19200300.100.1.38", []string{"associatedName"}},
	{"0.9.2342.19200300.100.1.39", []string{"homePostalAddress"}},
	{"0.9.2342.19200300.100.1.40", []string{"personalTitle"}},
	{"0.9.2342.19200300.100.1.41", []string{"mobileTelephoneNumber", "mobile"}},
	{"0.9.2342.19200300.100.1.42", []string{"pagerTelephoneNumber", "pager"}},
	{"0.9.2342.19200300.100.1.43", []string{"friendlyCountryName"}},
	{"0.9.2342.19200300.100.1.44", []string{"uniqueIdentifier"}},
	{"0.9.2342.19200300.100.1.45", []string{"organizationalStatus"}},
	{"0.9.2342.19200300.100.1.46", []string{"janetMailbox"}},
	{"0.9.2342.19200300.100.1.47", []string{"mailPreferenceOption"}},
	{"0.9.2342.19200300.100.1.48", []string{"buildingName"}},
	{"0.9.2342.19200300.100.1.49", []string{"dSAQuality"}},
	{"0.9.2342.19200300.100.1.50", []string{"singleLevelQuality"}},
	{"0.9.2342.19200300.100.1.51", []string{"subtreeMinimumQuality"}},
	{"0.9.2342.19200300.100.1.52", []string{"subtreeMaximumQuality"}},
	{"0.9.2342.19200300.100.1.53", []string{"personalSignature"}},
	{"0.9.2342.19200300.100.1.54", []string{"dITRedirect"}},
	{"0.9.2342.19200300.100.1.55", []string{"audio"}},
	{"0.9.2342.19200300.100.1.56", []string{"documentPublisher"}},
	{"1.2.643.3.131.1.1", []string{"INN"}},
	{"1.2.840.113549.1.9.7", []string{"challengePassword"}},
	{"1.2.840.113549.1.9.8", []string{"unstructuredAddress"}},
	{"1.3.6.1.4.1.42.2.11.2.1", []string{"IP"}},
}

// otherTypes are attribute types of directories, which occur in few certificates. Their
// names are not read, because no tool prints them in a subject: an error names their OID.
// The names are in lower case.
var otherTypes = map[string]string{
	"carlicense":           "2.16.840.1.113730.3.1.1",
	"departmentnumber":     "2.16.840.1.113730.3.1.2",
	"employeenumber":       "2.16.840.1.113730.3.1.3",
	"employeetype":         "2.16.840.1.113730.3.1.4",
	"preferredlanguage":    "2.16.840.1.113730.3.1.39",
	"displayname":          "2.16.840.1.113730.3.1.241",
	"labeleduri":           "1.3.6.1.4.1.250.1.57",
	"samaccountname":       "1.2.840.113556.1.4.221",
	"userprincipalname":    "1.2.840.113556.1.4.656",
	"company":              "1.2.840.113556.1.2.146",
	"department":           "1.2.840.113556.1.2.141",
	"friendlyname":         "1.2.840.113549.1.9.20",
	"dateofbirth":          "1.3.6.1.5.5.7.9.1",
	"placeofbirth":         "1.3.6.1.5.5.7.9.2",
	"gender":               "1.3.6.1.5.5.7.9.3",
	"countryofcitizenship": "1.3.6.1.5.5.7.9.4",
	"countryofresidence":   "1.3.6.1.5.5.7.9.5",
	"nameatbirth":          "1.3.36.8.3.14",
}

// keywordOf maps an OID in DER to its keyword, and oidOf a keyword, in lower case or as written in the
// table above, to its OID.
var keywordOf, oidOf = func() (map[string]string, map[string]string) {
	of, back := map[string]string{}, map[string]string{}
	for _, k := range keywords {
		oid, err := parseOID(k.oid)
		if err != nil {
			panic("dn: " + k.oid) // an error in the table above
		}
		of[oid] = k.names[0]
		for _, name := range k.names {
			back[name], back[strings.ToLower(name)] = oid, oid
		}
	}
	return of, back
}()
