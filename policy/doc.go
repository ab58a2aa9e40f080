// Package policy decides what a user may do: on this port, this method, this path.
//
// The rules are Casbin's, with a model of ours built in (see Model). An Engine is
// built from rules and memberships, every mistake in them is reported at once
// with its line, and it never changes afterwards: a change of policy is a new
// Engine. An empty policy denies everything.
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
// Deny beats allow, whatever the order of the lines and whether user or group is
// named. What no line allows is refused (NoRule); what a line denies is refused
// whatever else allows it (Denied).
//
//	line    = "p," subject "," port "," method "," path "," effect
//	        | "g," subject "," "group:" NAME
//	        | "#" anything | nothing
//	subject = "user:" NAME | "group:" NAME
//	NAME    = [A-Za-z0-9][A-Za-z0-9._@-]{0,127}
//	port    = "*" | the name of one port
//	method  = "*" | METHOD *( "|" METHOD )
//	path    = "*" | 1*( "/" segment ) [ "/*" ] | "/*"
//	segment = literal text | "{" name "}" | nothing, at the end only
//	effect  = "allow" | "deny"
//
// Blanks around a field are not part of it. Fields are not quoted and hold no
// commas. Anything else is a mistake, and a policy with one mistake is refused
// whole.
//
// Methods are GET HEAD POST PUT PATCH DELETE OPTIONS, and those that the option
// Methods adds, in upper case. GET covers HEAD, in allow and deny alike; "*" is
// every known method. A method that is not known is never allowed.
//
// Paths are compared whole, segment by segment, as decoded. A literal segment
// matches itself: dots, brackets and all other characters mean nothing special.
// {name} matches exactly one segment that is not empty. A final /* matches
// everything below: /a/* covers /a/ and /a/b, not /a and not /ab; /* covers every
// path. A trailing slash counts: /a and /a/ are two paths. The path "*" is the
// target of "OPTIONS *" and nothing else. No rule matches a path that could be
// read in two ways (//, a . or .. segment, a backslash, control characters,
// invalid UTF-8, no leading slash).
//
// # Coming from webMethods Integration Server
//
// Allowed and denied groups (ACLs): rules with group:NAME and the effect allow or
// deny. A denied group wins there and here.
//
// Port access (deny by default, with a list of what a port may reach): the port
// column. A rule for one port says nothing about another; nothing is reachable on
// a port that no rule names, "*" aside.
//
// The user Default and the groups Everybody, Authenticated and Anonymous: every
// user is in Everybody; every user with a name is in Authenticated; the user
// Default, who is anybody without a certificate where the guard lets them in, is
// in Anonymous instead. Rules may name these groups and user:Default, and the
// groups may stand inside other groups; members of the three, and groups for
// Default, cannot be given. User and group are never confused: a user who is
// called "finance" is not in group:finance.
//
// # Limits
//
// Groups nest at most 32 deep and not in circles; a user stands in at most 1,024
// groups, nested ones included. A path in a rule has at most 32 segments. A line
// of policy.csv has at most 64 KiB.
//
// # Speed
//
// A policy is loaded through Casbin, which checks it, and compiled into tables
// without pointers: a tree of path segments for each port, whose leaves hold who
// may do what. Decide takes no lock and allocates nothing. It visits only the
// places of the tree that the path can reach, and searches the lines there, so its
// time grows little with the number of rules. A policy whose rules mix literals and
// {name} at many levels, in many combinations, has many such places for one path;
// the cost is bounded by the number of its rules. Equality with Casbin's own
// decision is what the tests of this package are about; Enforcer returns Casbin's
// enforcer for the same rules, for those who want to ask it themselves.
package policy
