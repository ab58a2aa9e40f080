package admin

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// The guard refuses a path whose segment may be read as several, even if it is escaped. An id may be
// such a text: then its segment is encodedID and the id in base64url without padding.
const encodedID = "~"

// mappingSegment returns the segment of a path that names a mapping.
func mappingSegment(id string) string {
	if id == "." || id == ".." || strings.HasPrefix(id, encodedID) || strings.ContainsAny(id, `/\%;`) {
		return encodedID + base64.RawURLEncoding.EncodeToString([]byte(id))
	}
	return url.PathEscape(id)
}

// mappingPath returns the screen of a mapping.
func mappingPath(id string) string { return "/mappings/" + mappingSegment(id) }

// mappingID returns the id of the mapping that the path names. An encoded id is understood only where mappingSegment
// encodes it: with a second path for a mapping, a caller could pass by the rule of the policy about its first one.
func (c *call) mappingID() string {
	segment := c.PathValue("id")
	if text, ok := strings.CutPrefix(segment, encodedID); ok {
		if id, err := base64.RawURLEncoding.DecodeString(text); err == nil && mappingSegment(string(id)) == segment {
			return string(id)
		}
	}
	return segment
}
