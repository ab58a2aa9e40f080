package fleetedit

import "testing"

// No file of a store makes diff fail, and no item is the same as itself.
func FuzzItems(f *testing.F) {
	f.Add("users.yaml", []byte("mappings:\n  - {id: a, user: a, subject: \"CN=a\", issuer: ca.pem}\n"))
	f.Add("users.jsonl", []byte(`{"id": "a", "user": "a", "dns": "a"}`))
	f.Add("policy.csv", []byte("p, user:a, *, GET, /a, allow\n"))
	f.Add("ca.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		items, _ := itemsOf(name, data)
		if d := diffItems(items, items); d != nil {
			t.Errorf("%q differs from itself: %v", data, d)
		}
		if d := diffItems(nil, items); len(d) != len(items) {
			t.Errorf("%q: %d items, %d added", data, len(items), len(d))
		}
	})
}
