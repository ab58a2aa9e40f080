package admin

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/trust"
)

// parseETag reads the ETag that the editor has seen. Any other text of If-Match would let an edit
// overwrite another.
func parseETag(text string) (trust.Digest, error) {
	if text == "" {
		return trust.Digest{}, &failure{Status: http.StatusPreconditionRequired, Detail: "If-Match is missing", Hint: "the ETag of GET /api/v1/mappings"}
	}
	inner, ok := strings.CutPrefix(text, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	digest, err := trust.ParseDigest(inner)
	if !ok || !closed || err != nil {
		return trust.Digest{}, invalid(fmt.Sprintf("If-Match: %s is not an ETag of the users", escape.Quote(text, escape.Short)), "the ETag of GET /api/v1/mappings")
	}
	return digest, nil
}

func formatETag(d trust.Digest) string { return `"` + d.String() + `"` }

// usersETag returns the ETag of the users, or "" where they cannot be edited.
func (c *call) usersETag() string {
	if !c.page.mayEdit() {
		return ""
	}
	w, err := c.writer()
	if err != nil {
		return ""
	}
	f, err := w.open(c.Context())
	if err != nil {
		return ""
	}
	return formatETag(f.Digest())
}

// setUsersETag sets the ETag of an answer that an edit may follow.
func (c *call) setUsersETag() {
	if tag := c.usersETag(); tag != "" {
		c.w.Header().Set("ETag", tag)
	}
}

// ifMatch returns If-Match as it came. Several lines are one list (RFC 9110 section 5.3), which parseETag rejects.
func (c *call) ifMatch() string { return strings.Join(c.Header.Values("If-Match"), ", ") }
