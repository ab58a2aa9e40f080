package e2e

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/trust"
)

// edit changes the users of a running server, and reloads.
func (l *live) edit(change func(*useredit.File) (*useredit.Change, error)) *useredit.Change {
	l.Helper()
	out, after, _, err := useredit.Apply(useredit.Request{Open: l.users, Change: change})
	if err != nil {
		l.Fatal(err)
	}
	if f, err := l.users(); err != nil || f.Digest() != after || !out.Written {
		l.Errorf("the digest after it is wrong: %v, %+v", err, out)
	}
	if err := l.server.Reload(); err != nil {
		l.Fatal(err)
	}
	return out
}

func (l *live) users() (*useredit.File, error) { return useredit.OfServer(l.server) }

func set(c useredit.Set) func(*useredit.File) (*useredit.Change, error) { return c.Change }

func adding(c useredit.Add, holder *testpki.Pair) func(*useredit.File) (*useredit.Change, error) {
	return func(f *useredit.File) (*useredit.Change, error) {
		return c.Change(context.Background(), f, time.Now, func() ([]*x509.Certificate, error) { return holder.Presented(), nil })
	}
}

// The users of a running server are disabled, limited in time, added and removed, in a file and
// in a folder.
func TestUsersOfARunningServerAreEdited(t *testing.T) {
	t.Parallel()
	for _, folder := range []bool{false, true} {
		t.Run(map[bool]string{false: "a file", true: "a folder"}[folder], func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			if folder {
				if err := os.Mkdir(s.path("users"), 0o700); err != nil {
					t.Fatal(err)
				}
				s.sub(config, "users: users.yaml", "users: users")
				s.put("users/a.jsonl", `{"id":"alice","user":"alice","subject":"CN=alice","issuer":"../ca.pem"}`+"\n")
				s.put("users/b.jsonl", `{"id":"bob","user":"bob","subject":"CN=bob,OU=Staff","issuer":"../ca.pem"}`+"\n")
			}
			l := s.start(mtlsguard.Options{})
			alice, url := s.client(s.alice), l.url("internal", "/whoami")
			is := func(want string) {
				t.Helper()
				if got := get(alice, url); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
			is("200 alice")
			l.edit(set(useredit.Set{IDs: []string{"alice"}, Disabled: new(true)}))
			is("403 unmapped")
			l.edit(set(useredit.Set{IDs: []string{"alice"}, Disabled: new(false), NotAfter: new("2020-01-01")}))
			is("403 mapping-expired")
			out := l.edit(set(useredit.Set{IDs: []string{"alice"}, NotBefore: new("2020-01-01"), NotAfter: new("")}))
			is("200 alice")
			if len(out.Added) != 1 || out.Added[0].NotBefore != "2020-01-01T00:00:00Z" || out.Added[0].NotAfter != "" || out.Added[0].Disabled {
				t.Errorf("added %+v, want alice from 2020 on", out)
			}
			carol := s.ca.Leaf("carol")
			out = l.edit(adding(useredit.Add{User: "carol", By: "subject", ID: "carol-2"}, carol))
			if got := get(s.client(carol), url); got != "200 carol" || len(out.Added) != 1 || len(out.Warnings) != 0 {
				t.Errorf("got %s, %+v; want 200 carol, one mapping and no warning", got, out)
			}
			l.edit(func(f *useredit.File) (*useredit.Change, error) {
				return (&useredit.Remove{IDs: []string{"carol-2"}}).Change(f)
			})
			if got := get(s.client(carol), url); got != "403 unmapped" {
				t.Error(got)
			}
			is("200 alice")
		})
	}
}

// An edit that fails leaves the file as it was.
func TestWrongEditsChangeNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	before := s.get("users.yaml")
	f, err := l.users()
	if err != nil {
		t.Fatal(err)
	}
	seen := f.Digest()
	for name, row := range map[string]struct {
		request useredit.Request
		want    string
	}{
		"no date":            {useredit.Request{Change: set(useredit.Set{IDs: []string{"alice"}, NotAfter: new("soon")})}, "not_after"},
		"ends before begins": {useredit.Request{Change: set(useredit.Set{IDs: []string{"alice"}, NotBefore: new("2027-01-01"), NotAfter: new("2026-01-01")})}, "not_after is before not_before"},
		"unknown":            {useredit.Request{Change: set(useredit.Set{IDs: []string{"zoe"}, Disabled: new(true)})}, "no mapping with this id"},
		"nothing":            {useredit.Request{Change: set(useredit.Set{Disabled: new(true)})}, "no mapping is named"},
		"a hostile date":     {useredit.Request{Change: set(useredit.Set{IDs: []string{"alice"}, NotAfter: new("2027-01-01\", user: \"root")})}, "not_after"},
		"an id twice":        {useredit.Request{Change: adding(useredit.Add{User: "carol", By: "fingerprint", ID: "alice"}, s.ca.Leaf("carol"))}, "alice"},
		"stale":              {useredit.Request{Digest: new(trust.Digest{1}), Change: set(useredit.Set{IDs: []string{"alice"}, Disabled: new(true)})}, useredit.ErrStale.Error()},
	} {
		row.request.Open = l.users
		out, now, _, err := useredit.Apply(row.request)
		if out != nil || now != seen || err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %+v, %v; want an error with %q", name, out, err, row.want)
		}
		if errors.Is(err, useredit.ErrStale) != (name == "stale") {
			t.Errorf("%s: got %v, want ErrStale for a stale digest only", name, err)
		}
	}
	dry, now, _, err := useredit.Apply(useredit.Request{Open: l.users, Digest: &seen, DryRun: true, Change: set(useredit.Set{IDs: []string{"alice"}, Disabled: new(true)})})
	if err != nil || now != seen || dry.Written || len(dry.Added) != 1 || !dry.Added[0].Disabled {
		t.Errorf("got %+v, %v; want a disabled mapping that is not written", dry, err)
	}
	if got := s.get("users.yaml"); got != before {
		t.Errorf("the file is now\n%s\nwant\n%s", got, before)
	}
}

// Users that are not on disk are not edited, and the error says where they are.
func TestUsersThatAreNotOnDiskAreNotEdited(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	inProgram, err := mtlsguard.OpenFS(s.files(), config, mtlsguard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.sub(config, "users: users.yaml\n", "")
	mapped, err := mtlsguard.Open(s.path(config), mtlsguard.Options{Map: mapperFunc(func(string) (certmap.Match, error) { return certmap.Match{}, nil })})
	if err != nil {
		t.Fatal(err)
	}
	for want, server := range map[string]*mtlsguard.Server{"part of the program": inProgram, "no file of users": mapped} {
		_, err := useredit.OfServer(server)
		if all := configerror.All(err); len(all) != 1 || !strings.Contains(all[0].What, want) || all[0].Hint == "" {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
