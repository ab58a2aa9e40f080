// Package storeflag has the flags by which commands name the store of a fleet, and opens it. It links
// every kind of store.
package storeflag

import (
	"context"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/source"
)

// Flags name the store. They have the tags of kong, whose variable storeSchemes must be Schemes().
type Flags struct {
	Store         string `env:"MTLSGUARD_STORE" placeholder:"URL" help:"The store: a folder, or a URL with ${storeSchemes}. A URL with a password must be in the environment."`
	Fleet         string `env:"MTLSGUARD_FLEET" placeholder:"NAME" help:"The name of the fleet. Default: fleet of source in mtlsguard.yaml. A folder knows its fleet after the first commit."`
	StoreCacert   string `env:"MTLSGUARD_STORE_CACERT" placeholder:"FILE" help:"For NATS and etcd: the authorities of the store's certificate. PostgreSQL has sslrootcert in its URL."`
	StoreCert     string `env:"MTLSGUARD_STORE_CERT" placeholder:"FILE" help:"For NATS and etcd: the client's certificate. PostgreSQL has sslcert in its URL."`
	StoreKey      string `env:"MTLSGUARD_STORE_KEY" placeholder:"FILE" help:"For NATS and etcd: the key of --store-cert. PostgreSQL has sslkey in its URL."`
	StoreCreds    string `env:"MTLSGUARD_STORE_CREDS" placeholder:"FILE" help:"For NATS: a file of credentials (.creds)."`
	StoreReplicas int    `env:"MTLSGUARD_STORE_REPLICAS" placeholder:"N" help:"For NATS: how many servers hold the buckets, which the first commit makes: 1, 3 or 5. Default: 1."`
}

// Openers open the stores of each scheme of a URL. The empty one is a folder. Their errors are errors
// in the flags.
var Openers = map[string]func(ctx context.Context, f *Flags, fleet string) (s source.Store, end func(), err error){"": openFolder, "file": openFolder}

// Schemes returns the schemes of Openers, for people.
func Schemes() string {
	var out []string
	for scheme := range Openers {
		if scheme != "" {
			out = append(out, scheme+":")
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// scheme returns the scheme of the store's URL. The name of a folder has none.
func (f *Flags) scheme() string {
	scheme, _, found := strings.Cut(f.Store, ":")
	if !found || strings.ContainsAny(scheme, "/.\\") || len(scheme) < 2 {
		return ""
	}
	return strings.ToLower(scheme)
}

// Open opens the store of a fleet. Call end when all is done.
func (f *Flags) Open(ctx context.Context, fleet string) (s source.Store, end func(), err error) {
	if f.Store == "" {
		return nil, nil, console.UsageError("--store is missing", "--store URL, or MTLSGUARD_STORE in the environment")
	}
	open := Openers[f.scheme()]
	if open == nil {
		return nil, nil, console.UsageError("--store: "+escape.Quote(f.scheme(), escape.Short)+" is not the scheme of a store", "--store with the name of a folder, or a URL with "+Schemes())
	}
	if err := f.checkPassword(); err != nil {
		return nil, nil, err
	}
	if f.scheme() != "" && f.scheme() != "file" && fleet == "" {
		return nil, nil, console.UsageError("--fleet is missing: such a store may hold several fleets", "--fleet NAME, or MTLSGUARD_FLEET in the environment, or fleet in the block source of mtlsguard.yaml")
	}
	return open(ctx, f, fleet)
}

// checkPassword rejects a URL with a password on the command line.
func (f *Flags) checkPassword() error {
	u, err := url.Parse(f.Store)
	if f.scheme() == "" || f.Store == os.Getenv("MTLSGUARD_STORE") {
		return nil
	}
	hint := "put the URL into the environment variable MTLSGUARD_STORE, and leave --store out"
	switch {
	case err != nil:
		return console.UsageError("--store is not a URL", "write USER:PASSWORD in percent-encoding; "+hint)
	case u.Query().Has("password"):
	default:
		if _, has := u.User.Password(); !has {
			return nil
		}
	}
	return console.UsageError("--store: the URL has a password, which every user of this machine can read in the list of processes", hint)
}

// checkPair returns an error if only one of certificate and key is there.
func (f *Flags) checkPair() error {
	if (f.StoreCert == "") != (f.StoreKey == "") {
		return console.UsageError("--store-cert and --store-key belong together", "--store-cert FILE --store-key FILE")
	}
	return nil
}
