package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/daemon"
)

type demoCmd struct {
	Folder    string `arg:"" optional:"" help:"The folder for the files, which are kept. Default: a temporary folder, which is deleted at the end."`
	FirstPort int    `default:"8443" placeholder:"N" help:"The four ports are N to N+3 of 127.0.0.1. 0 takes free ports."`
	Files     bool   `help:"Write the files and serve nothing."`
}

func (*demoCmd) Help() string {
	return `Writes two authorities, certificates for the server and for several clients, users.yaml, policy.csv and an mtlsguard.yaml with three ports and one for the admin page; serves them, and prints curl lines that work as printed, and how to open the admin page in a browser. Ctrl-C ends it. A folder that holds a demo is served again. The certificates are for trying only.

Examples:
  mtlsguard demo
  mtlsguard demo try --files

Exit status: 0 a signal ended it, 2 it could not serve.`
}

// demoReport is the JSON of demo.
type demoReport struct {
	Folder string        `json:"folder"`
	Config string        `json:"config"`
	Ports  []daemon.Port `json:"ports,omitempty"`
	Admin  *demoAdmin    `json:"admin,omitempty"`
	Tries  []demoCall    `json:"tries"`
}

// demoCall is a curl line and the case that it shows.
type demoCall struct {
	Shows string `json:"shows"`
	Curl  string `json:"curl"`
	as    string // the certificate's name; "" is none
	port  string
	path  string
}

func demoCalls() []demoCall {
	return []demoCall{
		{Shows: "alice is a member of staff: allowed", as: "alice", port: "internal", path: "/orders/7"},
		{Shows: "a rule denies bob: 403", as: "bob", port: "internal", path: "/orders/7"},
		{Shows: "the certificate is trusted, and no mapping matches it: 403", as: "stranger", port: "internal", path: "/orders/7"},
		{Shows: "no certificate on a port that requires one: no connection", port: "internal", path: "/orders/7"},
		{Shows: "no certificate on a port that requests one: 403", port: "partner", path: "/orders/7"},
		{Shows: "an expired certificate: no connection", as: "expired", port: "partner", path: "/orders/7"},
		{Shows: "a certificate of an unknown authority: no connection", as: "untrusted", port: "partner", path: "/orders/7"},
		{Shows: "no certificate on a port with strict: false: the user Default", port: "public", path: "/whoami"},
	}
}

func (c *demoCmd) Run(a *app) error {
	if c.FirstPort < 0 || c.FirstPort > 65532 {
		return usageError(fmt.Sprintf("--first-port: %d is not a port", c.FirstPort), "--first-port 0, or 1024 to 65532")
	}
	folder := c.Folder
	if folder == "" {
		if c.Files {
			return usageError("--files needs a folder", "mtlsguard demo FOLDER --files")
		}
		temporary, err := os.MkdirTemp("", "mtlsguard-demo-")
		if err != nil {
			return usageError("a temporary folder cannot be created: "+err.Error(), "mtlsguard demo FOLDER")
		}
		defer os.RemoveAll(temporary)
		folder = temporary
	}
	config := filepath.Join(folder, "mtlsguard.yaml")
	if _, err := os.Stat(config); err != nil {
		if err := writeDemo(folder, c.FirstPort, a.now()); err != nil {
			return err
		}
	}
	if c.Files {
		return c.printReport(a, demoReport{Folder: folder, Config: config, Tries: demoCalls()})
	}
	page, err := admin.New(admin.Config{Title: "mtlsguard demo", Edit: true})
	if err != nil {
		return err
	}
	var server *mtlsguard.Server
	server, err = mtlsguard.Open(config, mtlsguard.Options{
		Observe: page.Observe, OnHandshake: page.OnHandshake,
		Log: mtlsguard.JSONLog(a.stderr, nil),
		Ready: func() {
			_ = c.printReport(a, newDemoReport(server, folder, config)) // serve even if standard output is closed
		},
	})
	if err != nil {
		return err
	}
	page.Watch(server)
	if err := server.Serve(a.ctx, page.OnPort(demoAdminPort, http.HandlerFunc(whoami))); err != nil {
		return &configerror.Error{What: err.Error(), Hint: "--first-port 0 takes free ports"}
	}
	return nil
}

// newDemoReport returns the curl lines for the open ports.
func newDemoReport(server *mtlsguard.Server, folder, config string) demoReport {
	out := demoReport{Folder: folder, Config: config}
	addr := map[string]string{}
	for _, p := range server.Ports() {
		addr[p.Name()] = p.Addr().String()
		out.Ports = append(out.Ports, daemon.Port{Name: p.Name(), Addr: p.Addr().String()})
	}
	for _, t := range demoCalls() {
		if addr[t.port] == "" {
			continue // the folder's configuration was edited
		}
		line := "curl -sS --cacert " + shellQuote(filepath.Join(folder, "server-ca.pem"))
		if t.as != "" {
			line += " --cert " + shellQuote(filepath.Join(folder, t.as+".pem")) + " --key " + shellQuote(filepath.Join(folder, t.as+"-key.pem"))
		}
		t.Curl = line + " https://" + addr[t.port] + t.path
		out.Tries = append(out.Tries, t)
	}
	if addr[demoAdminPort] != "" {
		out.Admin = newDemoAdmin(folder, addr[demoAdminPort])
	}
	return out
}

// printReport prints the curl lines, and the line ready at the end.
func (c *demoCmd) printReport(a *app, s demoReport) error {
	if a.json {
		return a.printJSON(s)
	}
	if c.Files {
		a.printf("%s\n", s.Config)
		return nil
	}
	a.printf("# files in %s\n", s.Folder)
	for _, t := range s.Tries {
		a.printf("\n# %s\n%s\n", t.Shows, t.Curl)
	}
	if s.Admin != nil {
		s.Admin.print(a)
	}
	a.printf("\nready\n")
	return nil
}

// whoami answers with the identity of the caller.
func whoami(w http.ResponseWriter, r *http.Request) {
	id, ok := identity.FromContext(r.Context())
	if !ok {
		http.Error(w, "no identity", http.StatusInternalServerError) // fail closed: the handler runs without a guard
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct {
		User    string   `json:"user"`
		Groups  []string `json:"groups"`
		Port    string   `json:"port"`
		Method  string   `json:"method"`
		Path    string   `json:"path"`
		Via     string   `json:"via"`
		Mapping string   `json:"mapping,omitempty"`
	}{id.User, id.Groups, id.Port, r.Method, r.URL.Path, string(id.Via), id.MappingID})
}
