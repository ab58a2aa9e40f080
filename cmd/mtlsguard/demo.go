package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
)

type demoCmd struct {
	Folder    string `arg:"" optional:"" help:"Where the files are made, and stay. Without it they are thrown away at the end."`
	FirstPort int    `default:"8443" placeholder:"N" help:"The three ports are N, N+1 and N+2 of 127.0.0.1; 0 takes free ones."`
	Files     bool   `help:"Make the files and serve nothing."`
}

func (*demoCmd) Help() string {
	return `Makes two authorities, a server's certificate, those of alice, bob, a stranger and others, users.yaml, policy.csv and mtlsguard.yaml with three ports; serves them, and prints curl lines that work as they stand. Ctrl-C ends it. A folder with a demo in it is served again. Nothing of it is for more than a try.

Examples:
  mtlsguard demo
  mtlsguard demo try --files

Exit status: 0 it was ended, 2 it could not serve.`
}

// served is what demo --json prints, when it is ready.
type demoReport struct {
	Folder string       `json:"folder"`
	Config string       `json:"config"`
	Ports  []servedPort `json:"ports,omitempty"`
	Tries  []demoCall   `json:"tries"`
}

type servedPort struct {
	Name string `json:"name"`
	Addr string `json:"addr"`
}

// try is a curl line and what it shows.
type demoCall struct {
	Shows string `json:"shows"`
	Curl  string `json:"curl"`
	as    string // whose certificate
	port  string
	path  string
}

func demoCalls() []demoCall {
	return []demoCall{
		{Shows: "alice is staff: allowed", as: "alice", port: "internal", path: "/orders/7"},
		{Shows: "bob is denied by a rule", as: "bob", port: "internal", path: "/orders/7"},
		{Shows: "the stranger's certificate is believed, and nobody's", as: "stranger", port: "internal", path: "/orders/7"},
		{Shows: "no certificate where one is required: no connection", port: "internal", path: "/orders/7"},
		{Shows: "no certificate where one is asked for: 403", port: "partner", path: "/orders/7"},
		{Shows: "an expired certificate: no connection", as: "expired", port: "partner", path: "/orders/7"},
		{Shows: "a certificate of an unknown authority: no connection", as: "untrusted", port: "partner", path: "/orders/7"},
		{Shows: "no certificate on the open port: the user Default", port: "public", path: "/whoami"},
	}
}

func (c *demoCmd) Run(a *app) error {
	if c.FirstPort < 0 || c.FirstPort > 65533 {
		return usageError(fmt.Sprintf("--first-port %d is no port", c.FirstPort), "0, or 1024 to 65533")
	}
	folder := c.Folder
	if folder == "" {
		if c.Files {
			return usageError("--files without a folder would make files to throw away", "mtlsguard demo FOLDER --files")
		}
		made, err := os.MkdirTemp("", "mtlsguard-demo-")
		if err != nil {
			return usageError("no folder can be made: "+err.Error(), "mtlsguard demo FOLDER")
		}
		defer os.RemoveAll(made)
		folder = made
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
			_ = c.printReport(a, newDemoReport(server, folder, config)) // a reader that is gone does not end the server
		},
	})
	if err != nil {
		return err
	}
	if err := server.Serve(a.ctx, http.HandlerFunc(whoami)); err != nil {
		return &configerror.Error{What: err.Error(), Hint: "does another program have the port? --first-port 0 takes free ones"}
	}
	return nil
}

// ready has the curl lines for the ports as they are.
func newDemoReport(server *mtlsguard.Server, folder, config string) demoReport {
	out := demoReport{Folder: folder, Config: config}
	addr := map[string]string{}
	for _, p := range server.Ports() {
		addr[p.Name()] = p.Addr().String()
		out.Ports = append(out.Ports, servedPort{p.Name(), p.Addr().String()})
	}
	for _, t := range demoCalls() {
		if addr[t.port] == "" {
			continue // the folder's configuration is somebody's own
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

// tell prints what there is, and last the word ready.
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

// whoami answers with who called.
func whoami(w http.ResponseWriter, r *http.Request) {
	id, ok := identity.FromContext(r.Context())
	if !ok {
		http.Error(w, "nobody is known here", http.StatusInternalServerError) // fail closed: the guard does not let this be
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

const demoConfig = `# A throwaway setting, made by mtlsguard demo.
users: users.yaml
policy: policy.csv
ports:
  - name: internal              # no certificate, no connection
    listen: 127.0.0.1:%d
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}

  - name: partner               # a certificate is asked for; without one every request is refused
    listen: 127.0.0.1:%d
    client_cert: request
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}

  - name: public                # without a certificate the caller is the user Default
    listen: 127.0.0.1:%d
    client_cert: request
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}
    strict: false
`

const demoUsers = `# From certificates to users.
mappings:
  - {id: orders, user: orders-api, uri: "spiffe://acme/ns/prod/sa/orders", issuer: client-ca.pem}
  - {id: staff, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: client-ca.pem}
`

const demoPolicy = `# who, port, methods, path, effect. Deny beats allow; nothing said is no.
p, group:Authenticated, *,        GET,      /whoami,      allow
p, group:Anonymous,     public,   GET,      /whoami,      allow
p, group:staff,         *,        GET|POST, /orders/*,    allow
p, user:bob,            *,        *,        /orders/*,    deny
p, user:orders-api,     internal, GET,      /orders/{id}, allow

g, user:alice, group:staff
g, user:bob,   group:staff
`

// makeDemo makes the files in a folder that is empty or not there.
func writeDemo(folder string, port int, now time.Time) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return usageError("the folder "+folder+" cannot be made: "+err.Error(), "mtlsguard demo FOLDER that you may write")
	}
	if inside, err := os.ReadDir(folder); err != nil || len(inside) > 0 {
		return usageError("the folder "+folder+" has other files", "name a folder that is empty or not there")
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
	// The last: it makes the folder a demo.
	return writeNewFile(filepath.Join(folder, "mtlsguard.yaml"), fmt.Appendf(nil, demoConfig, port, second, third), 0o600)
}
