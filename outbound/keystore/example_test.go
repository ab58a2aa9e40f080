package keystore_test

import (
	"fmt"
	"time"

	"github.com/mtlsguard/mtlsguard/outbound/keystore"
)

// The keystore reads its files at the start and again in Reload or Watch. It is for
// outbound.Config.Keystore.
func Example() {
	keys, err := keystore.NewFiles(keystore.FilesConfig{Entries: []keystore.Entry{{
		Alias: "partner-a",
		File:  "../../testdata/pki/alice.pem",
		Key:   "../../testdata/pki/alice-key.pem",
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	credential, err := keys.Credential("partner-a")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(credential.Leaf().Subject)
	_, err = keys.Credential("partner-b")
	fmt.Println(err)
	fmt.Println(len(keys.Expiring(30*24*time.Hour)), "certificates expire within 30 days")
	// Output:
	// CN=alice,OU=Staff,O=Acme
	// the keystore does not know the alias: it has "partner-a"
	// 0 certificates expire within 30 days
}
