package admin

import (
	"net/http"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
)

// editScreen makes the change of a form on the screen of a mapping, and goes back to it.
func (c *call) editScreen() (any, error) {
	c.Body = http.MaxBytesReader(c.w, c.Body, maxUpload)
	if err := c.ParseForm(); err != nil {
		return nil, bodyError(err)
	}
	id, change := c.PathValue("id"), useredit.Set{}
	change.IDs = []string{id}
	switch what := c.PostForm.Get("what"); what {
	case "disable", "enable":
		change.Disabled = new(what == "disable")
	case "end":
		date := strings.TrimSpace(c.PostForm.Get("not_after"))
		if _, err := time.Parse(time.DateOnly, date); date != "" && err != nil {
			return nil, invalid("not_after: "+escape.Quote(date, escape.Short)+" is not a date", "such as 2026-12-31; empty removes the end")
		}
		change.NotAfter = &date
	default:
		return nil, invalid("the form is not one of this page", "open the mapping again")
	}
	if _, err := c.edit(c.PostForm.Get("etag"), change.Change); err != nil {
		return nil, err
	}
	http.Redirect(c.w, c.Request, "/mappings/"+id, http.StatusSeeOther)
	return nil, nil
}
