package admin_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/admin"
)

// object is an object of JSON or YAML.
type object = map[string]any

// at returns what is below an object, or nil.
func at(v any, keys ...string) any {
	for _, k := range keys {
		m, _ := v.(object)
		v = m[k]
	}
	return v
}

// openapi.yaml has every path of the API, no other, and every field of the answers.
func TestOpenAPIDescribesTheAPI(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc object
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	var described []string
	for path, methods := range doc["paths"].(object) {
		for method := range methods.(object) {
			described = append(described, strings.ToUpper(method)+" "+path)
		}
	}
	routes := admin.APIRoutes()
	slices.Sort(described)
	slices.Sort(routes)
	if !slices.Equal(described, routes) {
		t.Errorf("described: %q\nserved:    %q", described, routes)
	}

	p := newPartnerSite(t)
	s, alice := p.site, p.alice
	references := map[string]string{}
	for _, name := range []string{"bob", "stranger"} {
		references[name] = decodeAny[problem](t, s.do(s.client(name), "GET", "internal", "/secret/7", "").body).Reference
	}
	answered := map[string]bool{}
	etag := s.do(alice, "GET", "admin", "/api/v1/mappings", "").Header.Get("ETag")
	for _, row := range []struct{ route, path, body string }{
		{"POST /api/v1/mappings", "/api/v1/mappings?dry_run=1", `{"user":"x","certificate_pem":` + strconv.Quote(string(pairOf(t, "stranger").CertPEM())) + `}`},
		{"PATCH /api/v1/mappings/{id}", "/api/v1/mappings/old?dry_run=1", `{"disabled":false}`},
		{"DELETE /api/v1/mappings/{id}", "/api/v1/mappings/old?dry_run=1", ""},
		{"POST /api/v1/mappings/{id}/rotate", "/api/v1/mappings/partner/rotate?dry_run=1", `{"certificate_pem":` + strconv.Quote(string(p.next.CertPEM())) + `}`},
		{"GET /api/v1/refusals/{reference}", "/api/v1/refusals/" + references["bob"], ""},
		{"POST /api/v1/explain", "", `{"reference":"` + references["bob"] + `"}`},
		{"POST /api/v1/explain", "", `{"reference":"` + references["stranger"] + `"}`},
		{"POST /api/v1/explain", "", `{"user":"alice","port":"internal","path":"/orders/7"}`},
		{"POST /api/v1/explain", "", `{"port":""}`},
		{"POST /api/v1/inspect", "", string(pairOf(t, "alice").CertPEM())},
		{"GET /api/v1/ports/{name}", "/api/v1/ports/internal", ""},
		{"GET /api/v1/mappings/{id}", "/api/v1/mappings/staff", ""},
		{"POST /api/v1/connections/{id}/close", "/api/v1/connections/0/close", ""},
		{"POST /api/v1/reload", "", ""},
		{"GET /api/v1/events", "/api/v1/events/none", ""}, // a stream has no document
		{"POST /api/v1/fleet/{number}/rollback", "/api/v1/fleet/1/rollback", ""},
	} {
		checkAnswer(t, s, doc, alice, row.route, row.path, row.body, "If-Match", etag)
		answered[row.route] = true
	}
	f := newFleet(t)
	f.push("bob", "users.yaml", siteUsers+"# more\n")
	node := f.site(f, f.signed(), editing, func(c *admin.Config) { c.Signer = f.key })
	tag := node.do(node.client("alice"), "GET", "admin", "/api/v1/fleet", "").Header.Get("ETag")
	for route, path := range map[string]string{
		"GET /api/v1/fleet": "", "GET /api/v1/fleet/{number}": "/api/v1/fleet/2", "POST /api/v1/fleet/{number}/rollback": "/api/v1/fleet/1/rollback?dry_run=1",
	} {
		checkAnswer(t, node, doc, node.client("alice"), route, path, "", "If-Match", tag)
	}
	for _, route := range routes {
		if strings.HasPrefix(route, "GET ") && !answered[route] {
			checkAnswer(t, s, doc, alice, route, "", "")
			answered[route] = true
		}
		if !answered[route] {
			t.Errorf("%s is not called", route)
		}
	}
}

// checkAnswer calls a route, and compares the answer with its schema.
func checkAnswer(t *testing.T, s *site, doc object, c *http.Client, route, path, body string, pairs ...string) {
	t.Helper()
	method, pattern, _ := strings.Cut(route, " ")
	if path == "" {
		path = pattern
	}
	got := s.do(c, method, "admin", path, body, pairs...)
	schema := at(doc, "paths", pattern, strings.ToLower(method), "responses", "200", "content", "application/json", "schema")
	if strings.Contains(path, "dry_run") && got.StatusCode != 200 {
		t.Errorf("%s: got %s %s, want 200", route, got.Status, got.body)
	}
	if got.StatusCode != 200 {
		schema = at(doc, "components", "schemas", "Problem")
	}
	var v any
	if err := json.Unmarshal([]byte(got.body), &v); err != nil {
		t.Fatalf("%s: the answer is not JSON: %v", route, err)
	}
	for _, why := range validate(doc, schema, v, "") {
		t.Errorf("%s: the answer differs from the schema: %s", route, why)
	}
}

// validate returns what in a value the schema does not describe.
func validate(doc object, schema, v any, where string) (wrong []string) {
	if ref, ok := at(schema, "$ref").(string); ok {
		schema = at(doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	is := ""
	switch v := v.(type) {
	case object:
		is = "object"
		for _, key := range slices.Sorted(maps.Keys(v)) {
			inner := at(schema, "properties", key)
			if inner == nil {
				inner = at(schema, "additionalProperties")
			}
			if inner == nil {
				wrong = append(wrong, where+"/"+key+" is not described")
				continue
			}
			wrong = append(wrong, validate(doc, inner, v[key], where+"/"+key)...)
		}
	case []any:
		is = "array"
		for _, element := range v {
			wrong = append(wrong, validate(doc, at(schema, "items"), element, where+"[]")...)
		}
	case string:
		is = "string"
	case bool:
		is = "boolean"
	case float64:
		is = "integer"
	}
	if want, _ := at(schema, "type").(string); want != is {
		wrong = append(wrong, fmt.Sprintf("%s is %q, described as %q", where, is, want))
	}
	return wrong
}
