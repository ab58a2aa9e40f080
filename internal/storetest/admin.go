package storetest

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
)

// AdminPage tests the admin page of a node that is connected to the database through a proxy of target: an edit is a signed
// generation of its author and in effect with the answer, a stale one is refused, and while the database accepts connections and
// answers nothing, the page says so and its node serves. openAt opens a store at the address of the proxy.
func AdminPage(t *testing.T, e Engine, target string, openAt func(addr string) source.Store) {
	n := newNodes(t)
	editor, proxy := e.Open(), NewProxy(t, target)
	users := "mappings:\n"
	for _, user := range []string{"alice", "bob"} {
		users += fmt.Sprintf("  - {id: %s, user: %s, subject: \"CN=%s,OU=Users\", issuer: client-ca.pem}\n", user, user, user)
	}
	n.commit(editor, n.of(map[string]string{"users.yaml": users, "policy.csv": "p, group:Authenticated, *, *, /*, allow\n"}))
	page, err := admin.New(admin.Config{Edit: true, Signer: n.key})
	if err != nil {
		t.Fatal(err)
	}
	server := n.openWith("node-1", "users.yaml", mtlsguard.Options{Source: openAt(proxy.Addr()), Observe: page.Observe, OnHandshake: page.OnHandshake})
	page.Watch(server)
	n.serve(server, page.Handler())
	alice, bob := n.pki.Client("alice"), n.pki.Client("bob")
	// do makes a call of the API, and returns the status, the body and the ETag.
	do := func(client *http.Client, method, path, body, match string) (int, string, string) {
		t.Helper()
		r, err := http.NewRequest(method, "https://"+server.Ports()[0].Addr().String()+"/api/v1"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if match != "" {
			r.Header.Set("If-Match", match)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(data), res.Header.Get("ETag")
	}
	disable := func(yes bool, match string) (int, string) {
		t.Helper()
		status, body, _ := do(alice, "PATCH", "/mappings/bob?note=CHG-1234", fmt.Sprintf(`{"disabled": %v}`, yes), match)
		return status, body
	}
	status, body, first := do(bob, "GET", "/mappings", "", "")
	if status != http.StatusOK || first == "" {
		t.Fatal(status, body)
	}
	if status, body := disable(true, first); status != http.StatusOK {
		t.Fatal(status, body)
	}
	if status, body, _ := do(bob, "GET", "/mappings", "", ""); status != http.StatusForbidden {
		t.Error("the edit is not in effect with its answer:", status, body)
	}
	g, err := editor.Load(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if m := g.Manifest; m.Number != 2 || m.Author != "alice" || m.Note != "CHG-1234" || (source.Signers{n.key.Public().(ed25519.PublicKey)}).Check(g) != nil {
		t.Errorf("%+v, signatures %v", m, g.Signatures)
	}
	if status, body := disable(false, first); status != http.StatusPreconditionFailed {
		t.Error("a stale edit:", status, body)
	}
	if status, body, _ := do(alice, "GET", "/fleet/2", "", ""); status != http.StatusOK || !strings.Contains(body, `"trusted": true`) || !strings.Contains(body, "bob") {
		t.Error(status, body)
	}

	proxy.Make(Silent)
	_, _, now := do(alice, "GET", "/mappings", "", "")
	if status, body, _ := do(alice, "GET", "/fleet", "", ""); status != http.StatusOK || !strings.Contains(body, `"in_effect": 2`) || !strings.Contains(body, "the store of the fleet: ") {
		t.Error("the fleet without an answer of the database:", status, body)
	}
	if status, body := disable(false, now); status != http.StatusServiceUnavailable || !strings.Contains(body, "whether generation 3 is committed") {
		t.Error("an edit without an answer of the database:", status, body)
	}
	proxy.Make(None)
	testkit.Eventually(t, "edits are possible again", func() bool {
		_, _, now := do(alice, "GET", "/mappings", "", "")
		status, _ := disable(false, now)
		return status == http.StatusOK
	})
	if status, body, _ := do(bob, "GET", "/mappings", "", ""); status != http.StatusOK {
		t.Error(status, body)
	}
}
