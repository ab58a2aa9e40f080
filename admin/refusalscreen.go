package admin

import (
	"net/url"
	"strconv"
	"time"

	"github.com/mtlsguard/mtlsguard/reason"
)

// refusalsView is the screen with the list of refusals.
type refusalsView struct {
	Filter   refusalFilter
	Reasons  []reason.Reason
	Ports    []string
	Hour     chart
	Day      chart
	Refusals []apiRefusal
	Next     string // the query of the next page
}

func (c *call) refusalsScreen() (any, error) {
	f, err := c.refusalFilter()
	if err != nil {
		return nil, err
	}
	v := &refusalsView{
		Filter: f, Reasons: reason.All(), Ports: c.portNames(),
		Hour: newChart("Refusals for each minute of the last hour", c.page.minutes.report(c.now, 60, 1)),
		Day:  newChart("Refusals for each quarter of an hour of the last day", c.page.minutes.report(c.now, minutesKept, 15)),
	}
	more := false
	if v.Refusals, more = c.page.list(&f); more {
		q := url.Values{}
		for key, value := range map[string]string{"reason": f.Reason, "port": f.Port, "user": f.User, "fingerprint": f.Fingerprint} {
			if value != "" {
				q.Set(key, value)
			}
		}
		q.Set("after", strconv.FormatUint(v.Refusals[len(v.Refusals)-1].Sequence, 10))
		v.Next = "?" + q.Encode()
	}
	return v, nil
}

// portNames returns the names of the ports, in the order of the file.
func (c *call) portNames() []string {
	var out []string
	for _, p := range c.server.Status().Ports {
		out = append(out, p.Name)
	}
	return out
}

// refusalView is the screen of one refusal, and the answer that the request would get now.
type refusalView struct {
	apiRefusal
	At        time.Time
	Explained *apiExplained
	Why       string // why there is no explanation
	Make      *makeUser
}

func (c *call) refusalScreen() (any, error) {
	r, err := c.findRefusal(c.PathValue("reference"))
	if err != nil {
		return nil, err
	}
	v := &refusalView{apiRefusal: r.view(), At: r.at}
	if v.Explained, err = c.explain(&question{Reference: r.id}); err != nil {
		v.Why = asFailure(err).Detail
		if r.reason == reason.Unmapped && len(r.chain) > 0 && c.mayEdit(newMappingPath) { // behind a gateway, for example
			v.Make = &makeUser{Reference: r.id}
		}
	}
	return v, nil
}
