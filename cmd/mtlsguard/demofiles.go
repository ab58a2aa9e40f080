package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

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

  - name: admin                 # the admin page, for a browser
    listen: 127.0.0.1:%d
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}
    server_names: [localhost]
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
p, group:admins,        admin,    *,        /*,           allow

g, user:alice, group:staff
g, user:bob,   group:staff
g, user:admin, group:admins
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
	listen := [4]any{port, port + 1, port + 2, port + 3}
	if port == 0 {
		listen = [4]any{0, 0, 0, 0}
	}
	files["users.yaml"], files["policy.csv"] = []byte(demoUsers), []byte(demoPolicy)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := writeNewFile(filepath.Join(folder, name), files[name], 0o600); err != nil {
			return err
		}
	}
	// mtlsguard.yaml is written last: its presence marks a complete demo.
	return writeNewFile(filepath.Join(folder, "mtlsguard.yaml"), fmt.Appendf(nil, demoConfig, listen[:]...), 0o600)
}
