package main

import (
	"strconv"
	"strings"
)

// leaveGroup deletes the line of the policy that the hint names: FILE:LINE makes a member: TEXT.
func leaveGroup(n *nightSite, p pasting) {
	_, place, _ := strings.Cut(p.hint, "of which policy.csv:")
	number, text, _ := strings.Cut(place, " makes a member: ")
	at, err := strconv.Atoi(number)
	lines := strings.SplitAfter(n.get("policy.csv"), "\n")
	if err != nil || at < 1 || at > len(lines) || lines[at-1] != text+"\n" {
		n.Fatalf("policy.csv has no line %q", place)
	}
	n.put("policy.csv", strings.Join(append(lines[:at-1], lines[at:]...), ""))
}

// disable disables the mapping of the partner.
func disable(n *nightSite) {
	n.edit("users.yaml", "user: partner,", "user: partner, disabled: true,")
}

// accessIncidents are about mappings, rules and requests.
var accessIncidents = []incident{
	{name: "disabled", before: disable, call: partnerCall, fails: unmapped, command: explainReference,
		cause: "users.yaml:2 disables partner", mend: "to let them back"},
	{name: "no rule", call: call{client: "erin", method: "GET", path: "/orders/7"}, fails: "403 no-rule", command: explainReference,
		cause: "403 no-rule: GET /orders/7 on port internal, as user erin", mend: "allow exactly this request"},
	{name: "denied by a group", call: call{client: "mallory", method: "GET", path: "/orders/7"}, fails: "403 denied", command: explainReference,
		cause: "policy.csv:4 denies the request", mend: "the rule is for group blocked", apply: leaveGroup},
	{name: "an encoded slash", call: call{client: "alice", method: "GET", path: "/orders/7%2F8"}, fails: "400 ambiguous-path", command: explainReference,
		cause: "the path has an encoded slash", mend: "%2F is an escaped slash", apply: func(n *nightSite, _ pasting) { n.mended = &call{client: "alice", method: "GET", path: "/orders/7"} }},
	{name: "a wrong Host", call: call{client: "alice", host: "api.acme.example", method: "GET", path: "/orders/7"}, fails: "421 misdirected", command: explainReference,
		cause: "Host api.acme.example, SNI localhost", mend: "add the name to the server_names"},
}
