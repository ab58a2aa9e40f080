// Package policy decides what a user may do: on this port, this method, this path.
//
// The rules have the format and the semantics of Casbin, with one built-in model. New
// and Load build an Engine and report every error in the rules at once, each with its
// line. An Engine never changes: a new policy is a new Engine. An empty policy denies
// everything.
//
//	engine, err := policy.Load("policy.csv", file, policy.WithPorts("internal", "public"))
//	…
//	decision, err := engine.Decide(ctx, policy.Request{User: "alice", Port: "internal", Method: "GET", Path: "/orders/7"})
//	if err != nil || !decision.Allowed { refuse }
//
// # Rules
//
// A policy is lines of text:
//
//	# subject, port, method, path, effect
//	p, group:finance, internal, GET|POST, /orders/*, allow
//	p, user:mallory, *, *, /*, deny
//	# member, group
//	g, user:alice, group:finance
//	g, group:finance, group:staff
//
// Deny beats allow. Neither the order of the lines matters, nor whether a rule names
// the user or one of the user's groups. A request that no rule allows is refused with
// the reason NoRule; a request that a rule denies is refused with the reason Denied.
//
//	line    = "p," subject "," port "," method "," path "," effect
//	        | "g," subject "," "group:" NAME
//	        | "#" anything | nothing
//	subject = "user:" NAME | "group:" NAME
//	NAME    = [A-Za-z0-9][A-Za-z0-9._@-]{0,127}
//	port    = "*" | the name of one port
//	method  = "*" | METHOD *( "|" METHOD )
//	path    = "*" | 1*( "/" segment ) [ "/*" ] | "/*"
//	segment = literal text | "{user}" | "{" name "}" | nothing, at the end only
//	effect  = "allow" | "deny"
//
// Blanks around a field are not part of it. Fields are not quoted and contain no
// commas. Any other text is an error, and a policy with an error does not load.
//
// The methods are GET HEAD POST PUT PATCH DELETE OPTIONS, and those of WithMethods, in
// upper case. GET covers HEAD, in allow and deny alike. "*" covers every known method.
// No rule matches an unknown method.
//
// A path is compared as a whole, segment by segment, decoded. A literal segment
// matches itself: dots, brackets and all other characters stand for themselves. {user}
// matches the caller's own user name, byte for byte, and nothing else; it never matches
// Default. Any other {name} matches exactly one segment, which is not empty. A final /* matches everything
// below: /a/* covers /a/ and /a/b, but neither /a nor /ab; /* covers every path. A
// trailing slash counts: /a and /a/ are two paths. The path "*" is the target of
// "OPTIONS *" and nothing else. No rule matches an ambiguous path: one with //, a . or
// .. segment, a backslash, a control character, invalid UTF-8, or no leading slash.
//
// With {user}, one rule gives each member of a group their own paths. alice reads
// /users/alice/inbox, and no other inbox:
//
//	p, group:staff, *, GET, /users/{user}/inbox, allow
//
// # Coming from webMethods Integration Server
//
// The command "mtlsguard import webmethods FOLDER" writes the rules of an instance from its
// files, and reports what they do not contain: docs/from-webmethods.md.
//
// Allowed and denied groups (ACLs) are rules with group:NAME and the effect allow or
// deny. A denied group wins there and here.
//
// Port access (deny by default, with a list of what is reachable by a port) is the
// port column. A rule for one port has no effect on another. A port that no rule names
// serves only what the rules for "*" allow.
//
// The user Default and the groups Everybody, Authenticated and Anonymous exist here
// too (package identity has their names). Every user is in Everybody. Every named user
// is in Authenticated. Default, the anonymous user, is in Anonymous instead. Rules may
// name these groups and user:Default, and the groups may be members of other groups. A
// policy can give neither members to the three groups nor groups to Default. A user is
// never taken for a group: a user "finance" is not in group:finance.
//
// # Limits
//
// Groups nest at most 32 deep, without cycles. A user is in at most 1,024 groups,
// nested ones included. The path of a rule has at most 32 segments. A line of
// policy.csv has at most 64 KiB.
//
// # Speed
//
// An Engine is compiled: each port has a tree of path segments, and each node lists
// the subjects and methods of the rules that end there. Decide takes no lock and
// allocates nothing. It visits only the nodes that the path can reach, and searches
// their lists, so its time grows little with the number of rules. Rules that mix
// literals, {user} and {name} at many levels make many nodes reachable by one path; the number
// of rules bounds the cost. The tests of this package compare every decision with
// Casbin's own. Enforcer returns Casbin's enforcer for the same rules.
package policy
