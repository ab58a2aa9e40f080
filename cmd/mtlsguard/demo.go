package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/daemon"
)

type demoCmd struct {
	Folder    string `arg:"" optional:"" help:"The folder for the files, which are kept. Default: a temporary folder, which is deleted at the end."`
	FirstPort int    `default:"8443" placeholder:"N" help:"The three ports are N, N+1 and N+2 of 127.0.0.1. 0 takes free ports."`
	Files     bool   `help:"Write the files and serve nothing."`
}

func (*demoCmd) Help() string {
	return `Writes two authorities, certificates for the server and for several clients, users.yaml, policy.csv and an mtlsguard.yaml with three ports; serves them, and prints curl lines that work as printed. Ctrl-C ends it. A folder that holds a demo is served again. The certificates are for trying only.

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
	if c.FirstPort < 0 || c.FirstPort > 65533 {
		return usageError(fmt.Sprintf("--first-port: %d is not a port", c.FirstPort), "--first-port 0, or 1024 to 65533")
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
	var server *mtlsguard.Server
	server, err := mtlsguard.Open(config, mtlsguard.Options{
		Log: mtlsguard.JSONLog(a.stderr, nil),
		Ready: func() {
			_ = c.printReport(a, newDemoReport(server, folder, config)) // serve even if standard output is closed
		},
	})
	if err != nil {
		return err
	}
	if err := server.Serve(a.ctx, http.HandlerFunc(whoami)); err != nil {
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

const demoConfig = `# Written by mtlsguard demo. The certificates are for trying only.
users: users.yaml
policy: policy.csv
ports:
  - name: internal              # connections without a certificate are refused
    listen: 127.0.0.1:%d
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}

  - name: partner               # requests without a certificate are refused
    listen: 127.0.0.1:%d
    client_cert: request
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}

  - name: public                # callers without a certificate are the user Default
    listen: 127.0.0.1:%d
    client_cert: request
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}
    strict: false
`

const demoUsers = `# Maps certificates to users.
mappings:
  - {id: orders, user: orders-api, uri: "spiffe://acme/ns/prod/sa/orders", issuer: client-ca.pem}
  - {id: staff, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: client-ca.pem}
`

const demoPolicy = `# subject, port, methods, path, effect. Deny beats allow. A request that no rule allows is refused.
p, group:Authenticated, *,        GET,      /whoami,      allow
p, group:Anonymous,     public,   GET,      /whoami,      allow
p, group:staff,         *,        GET|POST, /orders/*,    allow
p, user:bob,            *,        *,        /orders/*,    deny
p, user:orders-api,     internal, GET,      /orders/{id}, allow

g, user:alice, group:staff
g, user:bob,   group:staff
`

// writeDemo writes the files into a folder that is empty or does not exist.
func writeDemo(folder string, port int, now time.Time) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return usageError("the folder "+strconv.Quote(folder)+" cannot be created: "+err.Error(), "mtlsguard demo FOLDER, in a folder in which you may write")
	}
	if inside, err := os.ReadDir(folder); err != nil || len(inside) > 0 {
		return usageError("the folder "+strconv.Quote(folder)+" holds other files", "mtlsguard demo FOLDER, with an empty or a new folder")
	}
	files, err := demoPKI(now)
	if err != nil {
		return err
	}
	second, third := port+1, port+2
	if port == 0 {
		second, third = 0, 0
	}
	files["users.yaml"], files["policy.csv"] = []byte(demoUsers), []byte(demoPolicy)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := writeNewFile(filepath.Join(folder, name), files[name], 0o600); err != nil {
			return err
		}
	}
	// mtlsguard.yaml is written last: its presence marks a complete demo.
	return writeNewFile(filepath.Join(folder, "mtlsguard.yaml"), fmt.Appendf(nil, demoConfig, port, second, third), 0o600)
}
