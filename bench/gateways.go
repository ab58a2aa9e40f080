//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// gateway is a program that ends TLS and checks an access list in front of net/http.
type gateway struct {
	binary string
	debian string // name of the package
	// build makes the program, where it is no package.
	build  func() (string, error)
	config func(dir, addr, backend string) string
	args   func(file string) []string
}

var gateways = map[string]gateway{
	"nginx": {
		binary: "nginx", debian: "nginx-light",
		args: func(file string) []string { return []string{"-c", file, "-e", "stderr"} },
		config: func(dir, addr, backend string) string {
			return fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/nginx.pid; error_log stderr crit;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 1000000000;
  map $ssl_client_s_dn $user { default ""; "CN=alice" alice; }
  map "$user:$request_method:$uri" $allowed { default 0; "~^alice:GET:/orders/[^/]+$" 1; }
  upstream api { server %[3]s; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen %[2]s ssl http2;
    ssl_certificate %[1]s/server.pem; ssl_certificate_key %[1]s/server-key.pem;
    ssl_client_certificate %[1]s/client-ca.pem; ssl_verify_client on;
    ssl_session_cache shared:s:10m; ssl_session_tickets on;
    location / {
      if ($allowed = 0) { return 403; }
      proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-User $user;
    }
  }
}
`, dir, addr, backend)
		},
	},
	"haproxy": {
		binary: "haproxy", debian: "haproxy",
		args: func(file string) []string { return []string{"-db", "-f", file} },
		config: func(dir, addr, backend string) string {
			return fmt.Sprintf(`global
  nbthread 1
  maxconn 1000
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 5s
  http-reuse always
frontend f
  bind %[2]s ssl crt %[1]s/both.pem ca-file %[1]s/client-ca.pem verify required alpn h2,http/1.1
  acl alice ssl_c_s_dn(CN) -m str alice
  acl orders path_reg ^/orders/[^/]+$
  http-request deny unless alice orders
  http-request set-header X-User %%[ssl_c_s_dn(CN)]
  default_backend b
backend b
  server s %[3]s
`, dir, addr, backend)
		},
	},
	"caddy": { // it answers by itself
		binary: "caddy", debian: "caddy", args: caddyArgs,
		config: func(dir, addr, _ string) string { return caddyfile(dir, addr, `respond "ok" 200`) },
	},
	"caddy-proxy": {
		binary: "caddy", debian: "caddy", args: caddyArgs,
		config: func(dir, addr, backend string) string {
			return caddyfile(dir, addr, "reverse_proxy "+backend+" {\n\t\t\theader_up X-User {tls_client_subject}\n\t\t}")
		},
	},
}

func caddyArgs(file string) []string {
	return []string{"run", "--adapter", "caddyfile", "--config", file}
}

// caddyfile is a configuration whose allowed requests get an answer.
func caddyfile(dir, addr, answer string) string {
	return fmt.Sprintf(`{
	admin off
	auto_https off
	log {
		output discard
	}
}
https://%[2]s, https://localhost:%[3]s {
	tls %[1]s/server.pem %[1]s/server-key.pem {
		client_auth {
			mode require_and_verify
			trusted_ca_cert_file %[1]s/client-ca.pem
		}
	}
	@allowed {
		path_regexp ^/orders/[^/]+$
		vars {tls_client_subject} CN=alice
	}
	handle @allowed {
		%[4]s
	}
	respond 403
}
`, dir, addr, addr[strings.LastIndexByte(addr, ':')+1:], answer)
}

// find returns the file of the program.
func (g *gateway) find() (string, error) {
	if g.build != nil {
		return g.build()
	}
	binary, err := exec.LookPath(g.binary)
	if err != nil {
		return "", fmt.Errorf("%s is not installed: it is the Debian package %s", g.binary, g.debian)
	}
	return binary, nil
}

// startGateway starts a gateway with net/http as its backend. Both share one core, as the
// guard and its handler do.
func (w *world) startGateway(name string, g gateway, o options) (*server, error) {
	binary, err := g.find()
	if err != nil {
		return nil, err
	}
	backend, behind, err := w.startGoServer("plain", o)
	if err != nil {
		return nil, err
	}
	s := &server{name: name, procs: []*exec.Cmd{behind}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.stop()
		return nil, err
	}
	s.addr = l.Addr().String()
	l.Close()
	file := filepath.Join(w.dir, name+".conf")
	if err := os.WriteFile(file, []byte(g.config(w.dir, s.addr, backend)), 0o600); err != nil {
		s.stop()
		return nil, err
	}
	p := onServerCore(binary, g.args(file)...)
	p.Env = append(os.Environ(), "GOMAXPROCS=1", "HOME="+w.dir)
	if g.binary != "caddy" && name != "serve" { // they write their logs there too
		p.Stderr = os.Stderr
	}
	if err := p.Start(); err != nil {
		s.stop()
		return nil, err
	}
	s.procs = append(s.procs, p)
	for range 100 {
		if c, err := net.Dial("tcp", s.addr); err == nil {
			c.Close()
			return s, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.stop()
	return nil, fmt.Errorf("%s does not listen after 5 s", name)
}
