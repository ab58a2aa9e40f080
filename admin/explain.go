package admin

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/report"
)

// question is the body of POST /api/v1/explain: one of reference, user and certificate_pem, or
// none of them for a caller without a certificate.
type question struct {
	Reference   string            `json:"reference"`
	User        string            `json:"user"`
	Certificate string            `json:"certificate_pem"`
	Port        string            `json:"port"`
	Method      string            `json:"method"`
	Path        string            `json:"path"`
	Host        string            `json:"host"`
	ServerName  string            `json:"server_name"`
	Headers     map[string]string `json:"headers"`
}

// apiExplained is the answer to a question: as explain --json, and the verdict as a sentence.
type apiExplained struct {
	Verdict string `json:"verdict"`
	report.Explanation
	Hints []apiHint `json:"hints"`
	// Refusal is the refusal that a reference names.
	Refusal *apiRefusal `json:"refusal,omitempty"`
	// Inspection describes the certificate of a caller without a user.
	Inspection *report.Inspection `json:"inspection,omitempty"`
	// Make is there if a screen may offer to map the certificate.
	Make *makeUser `json:"-"`
}

// explainJSON answers the question in the body.
func (c *call) explainJSON() (any, error) {
	var q question
	if err := c.readJSON(&q); err != nil {
		return nil, err
	}
	return c.explain(&q)
}

// explain answers a question about the current configuration.
func (c *call) explain(q *question) (*apiExplained, error) {
	given := 0
	for _, text := range []string{q.Reference, q.User, q.Certificate} {
		if text != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, invalid("reference, user and certificate exclude one another", "give one of them")
	case q.Reference != "":
		return c.explainReference(q)
	case q.User != "":
		return c.explainUser(q)
	}
	request := mtlsguard.ExplainRequest{Port: q.Port, Method: q.Method, Path: q.Path, Host: q.Host, ServerName: q.ServerName, Header: http.Header{}}
	for name, value := range q.Headers {
		request.Header.Set(name, value)
	}
	if q.Certificate != "" {
		data := []byte(q.Certificate)
		defer clear(data)
		var err error
		if request.Certificates, err = readCertificates(data); err != nil {
			return nil, err
		}
	}
	return c.ask(request)
}

// explainReference explains a refused request again, with the configuration in effect.
func (c *call) explainReference(q *question) (*apiExplained, error) {
	r, err := c.findRefusal(q.Reference)
	if err != nil {
		return nil, err
	}
	v := r.view()
	target, ok := r.requestTarget()
	switch {
	case !ok:
		return nil, invalid("the path of this refusal was too long to be kept", "explain the request with its certificate")
	case r.forwarded:
		return nil, invalid("a gateway forwarded the certificate in a header, and headers are not kept", "mtlsguard explain --log FILE --reference "+r.id+" explains it from the log")
	}
	out, err := c.ask(mtlsguard.ExplainRequest{
		Port: cmp.Or(q.Port, r.port), Method: cmp.Or(q.Method, r.method), Path: cmp.Or(q.Path, target), Host: r.host,
		ServerName: r.serverName, Certificates: r.certificates(),
	})
	if err != nil {
		return nil, err
	}
	out.Refusal = &v
	if out.Make != nil {
		out.Make = &makeUser{Reference: r.id}
	}
	switch {
	case out.Allowed && r.stage != "handshake":
		out.Verdict += fmt.Sprintf(". It was refused at generation %d; now it is generation %d", r.generation, c.server.Status().Generation)
	case r.stage == "handshake" && !out.Refused():
		out.Verdict += ". The handshake itself would be accepted now"
	}
	return out, nil
}

// Refused reports that the handshake would be refused.
func (x *apiExplained) Refused() bool { return x.Stage == "handshake" }

// ask lets the server explain, and adds the verdict and the hints.
func (c *call) ask(request mtlsguard.ExplainRequest) (*apiExplained, error) {
	x, err := c.server.Explain(c.Context(), request)
	if err != nil {
		return nil, err
	}
	var leaf *x509.Certificate
	if len(request.Certificates) > 0 {
		leaf = request.Certificates[0]
	}
	out := &apiExplained{Verdict: verdict(&x), Explanation: report.NewExplanation(&x, leaf)}
	if leaf != nil && x.Identity == nil {
		out.Inspection = report.Inspect(leaf, c.now)
	}
	out.Hints = hints(out)
	if c.offersMapping(out) {
		out.Make = &makeUser{PEM: formatChain(request.Certificates)}
	}
	return out, nil
}

// explainUser explains the policy alone.
func (c *call) explainUser(q *question) (*apiExplained, error) {
	path, _, _ := strings.Cut(cmp.Or(q.Path, "/"), "?")
	method := cmp.Or(q.Method, http.MethodGet)
	x, err := c.server.ExplainUser(q.User, q.Port, method, path)
	if err != nil {
		return nil, err
	}
	out := &apiExplained{Explanation: report.Explanation{
		Allowed: x.Decision.Allowed, Stage: "policy", Reason: x.Decision.Reason, Port: q.Port, Method: method, Path: path,
		User: q.User, Groups: x.Groups, Policy: &x, Decided: x.Decision.Rule.String(),
	}}
	if !out.Allowed {
		out.Status = out.Reason.Status()
	}
	if x.Decision.Rule.Line == 0 {
		out.Decided = ""
	}
	for _, l := range x.Lines {
		if l.Position == x.Decision.Rule {
			out.Line = l.Text
		}
	}
	out.Verdict = "The policy alone: " + x.Sentence
	out.Hints = hints(out)
	return out, nil
}

// verdict returns the answer in one sentence.
func verdict(o *mtlsguard.Explanation) string {
	request := fmt.Sprintf("%s %s on port %s", escape.Printable(o.Method, 0), escape.Printable(o.Path, 0), o.Port)
	user := ""
	if o.Identity != nil {
		user = ", as user " + o.Identity.User
	}
	switch {
	case o.Allowed:
		return "Allowed: " + request + user
	case o.Refused:
		return fmt.Sprintf("Refused in the handshake, %s: %s", o.Reason, request)
	case o.Unread:
		return fmt.Sprintf("Refused, %d before the guard: %s", o.Status, request)
	case o.Reason == "":
		return "The inner server decides: " + request
	}
	return fmt.Sprintf("Refused, %d %s: %s%s", o.Status, o.Reason, request, user)
}
