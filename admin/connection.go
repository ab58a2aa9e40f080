package admin

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// apiConnection is an open connection as the API lists it.
type apiConnection struct {
	ID          uint64              `json:"id"`
	Port        string              `json:"port"`
	Remote      string              `json:"remote"`
	Proxy       string              `json:"proxy,omitempty"`
	Since       string              `json:"since"`
	ServerName  string              `json:"server_name,omitempty"`
	TLS         string              `json:"tls"`
	Resumed     bool                `json:"resumed"`
	Protocol    string              `json:"protocol,omitempty"`
	State       string              `json:"state"`                 // open, hijacked or ending
	Certificate *report.Certificate `json:"certificate,omitempty"` // behind a gateway that of the gateway
	SPKI        string              `json:"spki,omitempty"`
	Until       string              `json:"until,omitempty"`   // when the verification ends
	User        string              `json:"user,omitempty"`    // of the last request
	Mapping     string              `json:"mapping,omitempty"` // of the last request
	Via         string              `json:"via,omitempty"`
	Requests    uint64              `json:"requests"`
	Active      int                 `json:"active"`
	Last        string              `json:"last,omitempty"`
}

func newConnection(i *ports.ConnInfo) apiConnection {
	out := apiConnection{
		ID: i.ID, Port: i.Port, Remote: netAddress(i.Remote), Proxy: netAddress(i.Proxy), Since: report.Time(i.Since), ServerName: escape.Printable(i.ServerName, maxWord),
		TLS: tls.VersionName(i.TLSVersion), Resumed: i.Resumed, Protocol: i.Protocol, State: "open", Until: optionalTime(i.Until),
		User: escape.Printable(i.User, 0), Mapping: i.Mapping, Via: i.Via, Requests: i.Requests, Active: i.Active, Last: optionalTime(i.Last),
	}
	switch {
	case i.Ending:
		out.State = "ending"
	case i.Hijacked:
		out.State = "hijacked"
	}
	if i.Leaf != nil {
		out.Certificate, out.SPKI = shortCertificate(i.Leaf), trust.SPKIOf(i.Leaf).String()
	}
	return out
}

// connectionFilter selects connections by the query.
type connectionFilter struct {
	Port, User, Fingerprint string
	limit, after            uint64
}

func (c *call) connectionFilter() (f connectionFilter, err error) {
	q := c.URL.Query()
	f = connectionFilter{Port: q.Get("port"), User: q.Get("user"), Fingerprint: strings.ToLower(q.Get("fingerprint"))}
	if f.limit, err = c.number("limit", 1, maxLimit, defaultLimit); err != nil {
		return f, err
	}
	f.after, err = c.number("after", 1, 1<<63, 0)
	return f, err
}

func (f *connectionFilter) matches(i *ports.ConnInfo) bool {
	return (f.Port == "" || i.Port == f.Port) && (f.User == "" || i.User == f.User) && i.ID > f.after &&
		(f.Fingerprint == "" || i.Leaf != nil && strings.HasPrefix(trust.FingerprintOf(i.Leaf).String(), f.Fingerprint))
}

// connections lists open connections, oldest first. after is the ID of the last one on the page
// before.
func (c *call) connections() (any, error) {
	f, err := c.connectionFilter()
	if err != nil {
		return nil, err
	}
	return c.selectConnections(&f).Connections, nil
}

// connectionsView is the screen with the list of connections.
type connectionsView struct {
	Filter      connectionFilter
	Ports       []string
	Users       []userCount
	Total       int
	Connections []apiConnection
	Next        string // the query of the next page
	MayClose    bool
}

type userCount struct {
	User string
	N    int
}

func (c *call) connectionsScreen() (any, error) {
	f, err := c.connectionFilter()
	if err != nil {
		return nil, err
	}
	v := c.selectConnections(&f)
	v.Filter, v.Ports, v.MayClose = f, c.portNames(), c.mayPost("/connections/1/close")
	return v, nil
}

// selectConnections returns the connections that a filter selects, and how many each user has,
// those with the most first.
func (c *call) selectConnections(f *connectionFilter) *connectionsView {
	v := &connectionsView{Connections: []apiConnection{}}
	byUser := map[string]int{}
	for _, i := range c.server.Connections() {
		v.Total++
		byUser[cmp.Or(escape.Printable(i.User, 0), "none yet")]++
		if v.Next != "" || !f.matches(&i) {
			continue
		}
		if uint64(len(v.Connections)) == f.limit {
			q := url.Values{"after": {strconv.FormatUint(v.Connections[len(v.Connections)-1].ID, 10)}}
			for key, value := range map[string]string{"port": f.Port, "user": f.User, "fingerprint": f.Fingerprint} {
				if value != "" {
					q.Set(key, value)
				}
			}
			v.Next = "?" + q.Encode()
			continue
		}
		v.Connections = append(v.Connections, newConnection(&i))
	}
	for user, n := range byUser {
		v.Users = append(v.Users, userCount{user, n})
	}
	slices.SortFunc(v.Users, func(a, b userCount) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.User, b.User)) })
	v.Users = v.Users[:min(len(v.Users), 20)]
	return v
}

// apiClosed is the answer to a connection that was closed.
type apiClosed struct {
	ID     uint64 `json:"id"`
	Closed bool   `json:"closed"`
}

// closeConnection closes the connection that the path names. The log has the request.
func (c *call) closeConnection() (any, error) {
	text := c.PathValue("id")
	c.what = "close connection " + text
	if err := c.checkQuery("note"); err != nil { // it has no dry run
		return nil, err
	}
	if _, err := c.note(); err != nil {
		return nil, err
	}
	id, err := strconv.ParseUint(text, 10, 64)
	for _, i := range c.server.Connections() {
		if err == nil && i.ID == id {
			c.what += fmt.Sprintf(" of port %s, from %s, user %s", i.Port, netAddress(i.Remote), cmp.Or(i.User, "none yet"))
		}
	}
	if err != nil || !c.server.CloseConnection(id) {
		return nil, notFound(fmt.Sprintf("there is no open connection %s", escape.Quote(text, escape.Short)), "it may have ended")
	}
	return apiClosed{id, true}, nil
}

// closeScreen closes a connection, and goes back to the list.
func (c *call) closeScreen() (any, error) {
	if _, err := c.closeConnection(); err != nil {
		return nil, err
	}
	http.Redirect(c.w, c.Request, "/connections", http.StatusSeeOther)
	return nil, nil
}
