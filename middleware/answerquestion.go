package middleware

import (
	"net/http"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Headers of the answer to a question.
const (
	userHeader      = "X-Mtlsguard-User"
	groupsHeader    = "X-Mtlsguard-Groups"
	mappingHeader   = "X-Mtlsguard-Mapping"
	reasonHeader    = "X-Mtlsguard-Reason"
	referenceHeader = "X-Mtlsguard-Reference"
)

// canBeAnswered refuses a caller whose groups cannot be sent in one header: "a,b" would be two.
func (c *call) canBeAnswered() bool {
	if c.answersQuestions() && slices.ContainsFunc(c.Identity.Groups, func(g string) bool { return !username.IsName(g) }) {
		c.refuse(reason.PolicyError, "the policy returned a group with a name that no group may have")
		return false
	}
	return true
}

// answerQuestion answers a question. A gateway takes any status from 200 to 299 for a permission:
// no refusal has one, not even to a gRPC client.
func (c *call) answerQuestion(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", "0")
	if c.Allowed {
		// All three, also if they are empty: a gateway that copies a header which is not there
		// may leave the client's own in its place.
		h.Set(userHeader, c.Identity.User)
		h.Set(groupsHeader, strings.Join(c.Identity.Groups, ","))
		h.Set(mappingHeader, c.Identity.MappingID)
		w.WriteHeader(http.StatusOK)
		return
	}
	if c.closes {
		h.Set("Connection", "close")
	}
	if c.quota != nil {
		c.quota.writeTo(h)
	}
	for _, challenge := range c.Challenges {
		h.Add("WWW-Authenticate", challenge)
	}
	h.Set(reasonHeader, string(c.Reason))
	h.Set(referenceHeader, c.Reference)
	w.WriteHeader(c.Status)
}
