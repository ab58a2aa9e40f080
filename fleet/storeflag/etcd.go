package storeflag

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/source"
	etcdstore "github.com/mtlsguard/mtlsguard/store/etcd"
)

func init() { Openers["etcd"], Openers["etcds"] = openEtcd, openEtcd }

// etcdStore is a store in etcd that the command can prune.
type etcdStore struct{ *etcdstore.Store }

// openEtcd opens a store in etcd. etcds is etcd with TLS.
func openEtcd(_ context.Context, f *Flags, fleet string) (source.Store, func(), error) {
	const hint = "etcd://HOST:2379,HOST:2379, or etcds:// for TLS, with --store-cacert"
	u, err := url.Parse(f.Store)
	if err != nil || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, nil, console.UsageError("--store is not the URL of etcd", hint) // it may have a password
	}
	c := clientv3.Config{Username: u.User.Username()}
	c.Password, _ = u.User.Password()
	protocol := "http://"
	if f.scheme() == "etcds" {
		protocol = "https://"
		if c.TLS, err = f.tls(); err != nil {
			return nil, nil, err
		}
	} else if f.StoreCacert != "" || f.StoreCert != "" || f.StoreKey != "" {
		return nil, nil, console.UsageError("--store-cacert, --store-cert and --store-key need TLS", hint)
	}
	for host := range strings.SplitSeq(u.Host, ",") {
		c.Endpoints = append(c.Endpoints, protocol+host)
	}
	s, err := etcdstore.Open(etcdstore.Config{Client: c, Fleet: fleet})
	if err != nil {
		return nil, nil, console.UsageError("--store: "+err.Error(), hint+", and --fleet NAME")
	}
	return etcdStore{s}, s.Close, nil
}

// tls returns the settings of TLS that the flags name.
func (f *Flags) tls() (*tls.Config, error) {
	if err := f.checkPair(); err != nil {
		return nil, err
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.StoreCacert != "" {
		data, err := os.ReadFile(f.StoreCacert)
		out.RootCAs = x509.NewCertPool()
		if err != nil || !out.RootCAs.AppendCertsFromPEM(data) {
			return nil, &configerror.Error{File: f.StoreCacert, What: "the file has no certificate in PEM, or cannot be read", Hint: "--store-cacert FILE with the authorities of the store's certificate"}
		}
	}
	if f.StoreCert != "" {
		pair, err := tls.LoadX509KeyPair(f.StoreCert, f.StoreKey)
		if err != nil {
			return nil, &configerror.Error{File: f.StoreCert, What: "certificate and key cannot be used: " + err.Error(), Hint: "--store-cert FILE --store-key FILE, in PEM"}
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// Prune removes old generations.
func (s etcdStore) Prune(ctx context.Context, keep int, younger time.Duration) (int, error) {
	return s.Store.Prune(ctx, etcdstore.Retention{Keep: keep, Younger: younger})
}
