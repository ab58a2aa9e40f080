package kongyaml

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/yamlnode"
)

// config is the content of the files, with the references between entities as they are written.
type config struct {
	yamlnode.Reader
	old         bool // a format before 3.0
	authorities []*authority
	consumers   []*consumer
	groups      []*consumerGroup
	services    []*service
	routes      []*route
	plugins     []*plugin
	global      []*plugin       // of all routes
	passedOver  map[string]bool // names of plugins

	// of entities that stand at the top of a file
	credentials []*credential
	members     []*membership
}

type authority struct {
	at   importer.Place
	id   string
	text string // the certificate in PEM
	*importer.Authority
}

type consumer struct {
	at                     importer.Place
	id, username, customID string
	credentials            []*credential
	members                []*membership
	groups                 []string // consumer groups
	refused                string   // the plugin that may refuse the consumer

	user    string // here; "" if it is not carried
	line    *importer.Line
	mapped  bool     // a name of the consumer is carried
	unfound []string // reports of own names that are not
}

// credential is an element of mtls_auth_credentials.
type credential struct {
	at                importer.Place
	consumer, subject string
	issuer            string // id of an authority, or ""
}

// membership is an element of acls.
type membership struct {
	at              importer.Place
	consumer, group string
}

type consumerGroup struct {
	at       importer.Place
	id, name string
	members  []string
}

type service struct {
	at       importer.Place
	id, name string
	enabled  bool
	filtered bool // by a WebAssembly filter
	plugins  []*plugin
}

func (c *consumer) name() string {
	if c.username != "" {
		return c.username
	}
	return c.customID
}

// ignored are the keys of a file that decide nothing about who may call.
var ignored = []string{
	"_format_version", "_comment", "_ignore", "_info", "_konnect", "_workspace", "_transform", "certificates", "snis", "upstreams", "targets", "vaults", "keys", "key_sets", "licenses", "parameters",
	"basicauth_credentials", "keyauth_credentials", "hmacauth_credentials", "jwt_secrets", "oauth2_credentials", "keyauth_enc_credentials", "partials", "workspaces",
}

// readFile adds the content of a file.
func (c *config) readFile(name string, root *yaml.Node) {
	c.File = name
	top := c.Fields(root, "the file")
	switch version := c.Text(top["_format_version"], "_format_version"); version {
	case "3.0":
	case "1.1", "2.1":
		c.old = true
	default:
		c.Reject(root, fmt.Sprintf("_format_version is %s", escape.Quote(version, escape.Short)), "the formats 1.1, 2.1 and 3.0 are read")
	}
	for _, n := range []*yaml.Node{top["_plugin_configs"], c.Fields(top["_info"], "_info")["defaults"]} {
		if n != nil {
			c.Reject(n, "values that count for several entities are not read", "deck gateway dump writes each entity with its own")
		}
	}
	for _, n := range c.List(top["ca_certificates"], "ca_certificates") {
		f := c.Fields(n, "an element of ca_certificates")
		c.authorities = append(c.authorities, &authority{at: c.At(n), id: c.Text(f["id"], "id"), text: c.Text(f["cert"], "cert")})
	}
	for _, n := range c.List(top["consumer_groups"], "consumer_groups") {
		c.readConsumerGroup(n)
	}
	for _, n := range c.List(top["consumer_group_consumers"], "consumer_group_consumers") {
		f := c.Fields(n, "an element of consumer_group_consumers")
		c.groups = append(c.groups, &consumerGroup{at: c.At(n), name: c.Reference(f["consumer_group"], "consumer_group"), members: []string{c.Reference(f["consumer"], "consumer")}})
	}
	for _, n := range c.List(top["consumers"], "consumers") {
		c.readConsumer(n)
	}
	for _, n := range c.List(top["mtls_auth_credentials"], "mtls_auth_credentials") {
		c.credentials = append(c.credentials, c.readCredential(n))
	}
	for _, n := range c.List(top["acls"], "acls") {
		c.members = append(c.members, c.readMembership(n))
	}
	for _, n := range c.List(top["services"], "services") {
		c.readService(n)
	}
	for _, n := range c.List(top["routes"], "routes") {
		c.readRoute(n, nil)
	}
	for _, n := range c.List(top["plugins"], "plugins") {
		c.readPlugin(n, plugin{})
	}
	for _, n := range c.List(top["filter_chains"], "filter_chains") {
		f := c.Fields(n, "an element of filter_chains")
		c.plugins = append(c.plugins, &plugin{at: c.At(n), name: "filter_chains", enabled: true, routeN: c.Reference(f["route"], "route"), serviceN: c.Reference(f["service"], "service")})
	}
}

// unread returns the keys of a file that are not read.
func (c *config) unread(root *yaml.Node) (out []string) {
	read := []string{"ca_certificates", "consumer_groups", "consumer_group_consumers", "consumers", "mtls_auth_credentials", "acls", "services", "routes", "plugins", "filter_chains"}
	for key := range c.Fields(root, "the file") {
		if !slices.Contains(ignored, key) && !slices.Contains(read, key) {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

func (c *config) readConsumer(n *yaml.Node) {
	f := c.Fields(n, "an element of consumers")
	one := &consumer{at: c.At(n), id: c.Text(f["id"], "id"), username: c.Text(f["username"], "username"), customID: c.Text(f["custom_id"], "custom_id")}
	for _, child := range c.List(f["mtls_auth_credentials"], "mtls_auth_credentials") {
		one.credentials = append(one.credentials, c.readCredential(child))
	}
	for _, child := range c.List(f["acls"], "acls") {
		one.members = append(one.members, c.readMembership(child))
	}
	for _, child := range c.List(f["groups"], "groups") {
		one.groups = append(one.groups, c.Reference(child, "an element of groups"))
	}
	for _, child := range c.List(f["plugins"], "plugins") {
		c.readPlugin(child, plugin{consumer: one})
	}
	c.consumers = append(c.consumers, one)
}

func (c *config) readCredential(n *yaml.Node) *credential {
	f := c.Fields(n, "an element of mtls_auth_credentials")
	return &credential{at: c.At(n), subject: c.Text(f["subject_name"], "subject_name"), issuer: c.Reference(f["ca_certificate"], "ca_certificate"), consumer: c.Reference(f["consumer"], "consumer")}
}

func (c *config) readMembership(n *yaml.Node) *membership {
	f := c.Fields(n, "an element of acls")
	return &membership{at: c.At(n), group: c.Text(f["group"], "group"), consumer: c.Reference(f["consumer"], "consumer")}
}

func (c *config) readConsumerGroup(n *yaml.Node) {
	f := c.Fields(n, "an element of consumer_groups")
	g := &consumerGroup{at: c.At(n), id: c.Text(f["id"], "id"), name: c.Text(f["name"], "name")}
	for _, child := range c.List(f["consumers"], "consumers") {
		g.members = append(g.members, c.Reference(child, "an element of consumers"))
	}
	for _, child := range c.List(f["plugins"], "plugins") {
		c.readPlugin(child, plugin{groupN: g.name})
	}
	c.groups = append(c.groups, g)
}

func (c *config) readService(n *yaml.Node) {
	f := c.Fields(n, "an element of services")
	s := &service{at: c.At(n), id: c.Text(f["id"], "id"), name: c.Text(f["name"], "name"), enabled: c.Bool(f["enabled"], "enabled", true), filtered: c.Follow(f["filter_chains"]) != nil}
	for _, child := range c.List(f["routes"], "routes") {
		c.readRoute(child, s)
	}
	for _, child := range c.List(f["plugins"], "plugins") {
		c.readPlugin(child, plugin{service: s})
	}
	c.services = append(c.services, s)
}
