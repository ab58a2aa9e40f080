package mtlsguard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/audit"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/source"
)

// Options are the settings of a Server that only a program can give. The zero value is
// valid.
type Options struct {
	// Log receives one record for every decision, refused handshake and reload. nil
	// discards them. See JSONLog. One goroutine writes to it, in order and at once; up to 16 MiB
	// wait for it. While there is no room a request waits, at most a second, and not at all once
	// the log has hung for a second. Lines without room, and lines that the log did not
	// accept, are counted in Status.Dropped and in a line of their own. Serve and Reload return
	// when the log is written. A process that ends in another way, such as by os.Exit, may lose
	// its last lines.
	Log *slog.Logger
	// Debug adds the whole explanation to the body of each refusal. It discloses users,
	// mappings and rules to callers.
	Debug bool
	// Authenticators maps the name of a port to the authenticators for requests without a
	// client certificate.
	Authenticators map[string][]middleware.Authenticator
	// IdentityHeaders names headers that are deleted from every request, in addition to
	// the headers that package middleware knows.
	IdentityHeaders []string
	// Map maps certificates to users, in place of users in the file: from a directory or a
	// database, say. It is called for every request unless its answers may be reused; see
	// certmap.Match. An error or a panic of it refuses the request; a *reason.Refusal with
	// reason.Unmapped means that the certificate has no user. nil: the file has users.
	Map certmap.Mapper
	// Policy decides about requests, in place of policy in the file. An error or a panic of it
	// refuses the request. nil: the file has a policy.
	Policy policy.Decider
	// Certificates provide the certificates of ports, by name, in place of certificate in the
	// file; see ports.Config.Certificate. Such a port also answers the challenge tls-alpn-01 of
	// ACME (RFC 8737), whose connections reach no handler. Their end is not known here: no
	// warning and no inventory has it.
	Certificates map[string]func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Refuse writes the body of a refusal; see middleware.Config.Refuse: the status, and the
	// headers that matter for security, are the guard's.
	Refuse func(http.ResponseWriter, *http.Request, middleware.Outcome)
	// Listen opens the listener of each port, in place of TCP on the address in the file: a
	// socket that systemd passes, a unix socket, or a listener of a test. It gets the name of the
	// port and its listen. See ports.Config.Listen.
	Listen func(ctx context.Context, port, addr string) (net.Listener, error)
	// Observe is called with every decision, in addition to the log. It must not block.
	Observe func(*http.Request, middleware.Outcome)
	// OnHandshake is called with every handshake, successful or not, in addition to the
	// log. It must not block.
	OnHandshake func(ports.Handshake)
	// Admin makes the handler of the admin page, for the block admin of the file: the method Serve of
	// an admin.Page. Open calls it last, and only with such a block. Requests on the port of the block
	// that the policy allows go to the handler, and not to that of Serve or Handler. nil: with the
	// block, Run and Serve return an error, and requests on its port are answered with 500.
	Admin func(*Server) (http.Handler, error)
	// Metrics makes the handler of the block metrics, as Admin does for admin: the method Serve of
	// prom.Metrics, say.
	Metrics func(*Server) (http.Handler, error)
	// Around wraps what forwards the requests of each port with an upstream, inside the guard: to
	// trace them, say. It may be called again at each reload. nil wraps nothing.
	Around func(http.Handler) http.Handler
	// ShadowEvery compares every n-th decision with Casbin's, in the background. A
	// difference is logged as an error. 0 compares none. Casbin's copy of the policy needs
	// about seven times the memory of ours.
	ShadowEvery int
	// Ready is called once by Serve, when every port accepts connections. Without ports it
	// is called when the first gateway is connected. Run does not call it.
	Ready func()
	// OnDrain is called once when Serve or Run begins to stop, before a port stops accepting:
	// readiness fails already. Serve and Run wait for it, so it can wait until a load balancer
	// has noticed. nil does nothing.
	OnDrain func()
	// StatusSocket is the path of a unix socket with the status of the server, for `mtlsguard
	// status`. Serve and Run make it with mode 0600 and remove it. Each connection gets one JSON
	// document: nothing is read from it, so nothing can be changed. A socket that a dead server
	// left behind is replaced; one of a running server is an error. "" means none.
	StatusSocket string
	// Source brings the files that a fleet shares: a store, or a folder or a web server of
	// package source. The file has a block source with its mount, keep and signers. Open begins with
	// the last generation in keep and does not wait for the source then; Run and Serve follow it. An
	// outage of the source changes nothing. nil: all files are on disk, or source has a url.
	Source source.Source
	// Now is the clock for certificates, CRLs, mappings and quotas. nil means time.Now.
	Now func() time.Time
}

// now reads the clock of the options.
func (o *Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// program returns what the program provides in place of files.
func (o *Options) program() site.Program {
	keptOnly := o.Source == source.Kept()
	return site.Program{Map: o.Map, Policy: o.Policy, Certificates: o.Certificates, Source: o.Source != nil && !keptOnly, AnySource: keptOnly}
}

// checkOptions rejects options for a port that does not exist, or has no users: they would
// never be used.
func (s *Server) checkOptions(g *site.Generation) error {
	var wrong errorlist.List
	for _, name := range slices.Sorted(maps.Keys(s.options.Authenticators)) {
		if !slices.ContainsFunc(g.AllPorts(), func(p site.Port) bool { return p.Config.Name == name && p.Authorizes() }) {
			wrong.Add(configerror.Error{
				What: fmt.Sprintf("Options.Authenticators: %q is not a port that authenticates users", name),
				Hint: "use the name of a port in " + s.path,
			})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.options.Certificates)) {
		if !slices.ContainsFunc(g.Ports, func(p site.Port) bool { return p.Config.Name == name }) {
			wrong.Add(configerror.Error{What: fmt.Sprintf("Options.Certificates: %q is not a port", name), Hint: "use the name of a port in " + s.path})
		}
		if s.options.Certificates[name] == nil {
			wrong.Add(configerror.Error{What: fmt.Sprintf("Options.Certificates: the function of port %q is nil", name), Hint: "set one, or remove the port"})
		}
	}
	if s.options.Policy != nil && s.options.ShadowEvery != 0 {
		wrong.Add(configerror.Error{What: "Options.ShadowEvery compares the policy file, and Options.Policy replaces that file", Hint: "remove one of the two"})
	}
	return wrong.Err()
}

// JSONLog returns a logger for Options.Log. It writes the same lines as a
// slog.JSONHandler, at a fraction of the cost: the lines of a Server bypass slog, and all that
// are waiting go to w in one Write of whole lines, at most 64 KiB. A Write that fails is
// tried again for half a second, from where it stopped. A nil level means slog.LevelInfo.
//
// Go ends a program that writes to standard output or standard error when the reader of that pipe
// is gone. A program whose log is one of them goes on, and counts the lines as dropped, after
// signal.Ignore(syscall.SIGPIPE).
func JSONLog(w io.Writer, level slog.Leveler) *slog.Logger { return audit.JSONLog(w, level) }

// LintOptions are the settings of Lint. The zero value is valid.
type LintOptions struct {
	// Within is how early Lint reports that a certificate, CRL or mapping ends. 0 means 30
	// days, but at most a fifth of a certificate's lifetime and a tenth of a CRL's.
	Within time.Duration
	// Now is the clock. nil means time.Now.
	Now func() time.Time
	// Certificates are client certificates. Lint uses them to find mappings by
	// fingerprint, spki or serial whose certificate ends soon.
	Certificates []*x509.Certificate
	// Options are those that the program passes to Open. Lint uses what replaces keys of the
	// file: Map, Policy and Certificates. It reports that it does not check them.
	Options Options
}

// Lint reads a configuration as Open does, and reports settings that are valid and probably
// not intended, ordered by file and line. The error joins the configuration errors.
func Lint(path string, o LintOptions) ([]configerror.Finding, error) {
	return site.Lint(path, site.LintOptions{Within: o.Within, Now: o.Now, Certificates: o.Certificates, Program: o.Options.program()})
}

// Lint is the function Lint for the configuration file of the server, as it is on disk now, with
// the server's own options. It takes as long as a reload, and as much memory.
func (s *Server) Lint(o LintOptions) ([]configerror.Finding, error) {
	if s.fsys != nil {
		return nil, &configerror.Error{File: s.path, What: "the configuration is not a file of the operating system", Hint: "Lint reads files; Open opens them"}
	}
	o.Options, o.Now = s.options, s.options.Now
	return Lint(s.path, o)
}
