package problem

import (
	"net/http"
	"strings"
)

// protocol is the protocol of a call, which decides the form of an error.
type protocol uint8

const (
	plain         protocol = iota
	grpc                   // gRPC and gRPC-Web
	connectUnary           // Connect, with one message in each direction
	connectStream          // Connect, with streams of messages
)

// protocolOf returns the protocol of a request, and the Content-Type of an answer in it.
//
// In gRPC and in Connect's streams an error has the HTTP status 200. A proxy that asks this
// server for a decision takes 200 for yes: nginx's auth_request, for one, passes the headers of
// the client on, its Content-Type too. So these two need everything that the protocol demands
// of a call: such a proxy asks by GET.
func protocolOf(r *http.Request) (protocol, string) {
	if r.Method == http.MethodGet && strings.Contains("&"+r.URL.RawQuery+"&", "&connect=v1&") {
		return connectUnary, ""
	}
	if r.Method != http.MethodPost || len(r.Header["Content-Type"]) != 1 {
		return plain, ""
	}
	mediaType, _, _ := strings.Cut(r.Header["Content-Type"][0], ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	if !isMediaType(mediaType) {
		return plain, "" // it would be sent back
	}
	switch {
	case is(mediaType, "application/grpc-web"), is(mediaType, "application/grpc-web-text"), is(mediaType, "application/grpc") && r.ProtoMajor >= 2:
		return grpc, mediaType
	case strings.HasPrefix(mediaType, "application/connect+"):
		return connectStream, mediaType
	case (mediaType == "application/proto" || mediaType == "application/json") && len(r.Header["Connect-Protocol-Version"]) > 0:
		return connectUnary, ""
	}
	return plain, ""
}

// is reports whether a media type is base, or base with the name of a message format.
func is(mediaType, base string) bool {
	rest, ok := strings.CutPrefix(mediaType, base)
	return ok && (rest == "" || rest[0] == '+')
}

// isMediaType reports whether a text is short and has no characters but those of a media type.
func isMediaType(s string) bool {
	return len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789/+-.") == ""
}

// code is an error code of gRPC, with Connect's name for it.
type code struct {
	number int
	name   string
}

// codeOf returns the code for an HTTP status. A refusal that has no code of its own is a
// permission denied.
func codeOf(status int) code {
	switch status {
	case http.StatusBadRequest:
		return code{3, "invalid_argument"}
	case http.StatusTooManyRequests, http.StatusRequestHeaderFieldsTooLarge:
		return code{8, "resource_exhausted"}
	case http.StatusNotFound, http.StatusNotImplemented:
		return code{12, "unimplemented"}
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return code{14, "unavailable"}
	case http.StatusUnauthorized:
		return code{16, "unauthenticated"}
	}
	if status >= 500 {
		return code{13, "internal"}
	}
	return code{7, "permission_denied"}
}

// GRPCCode returns the error code of gRPC for the HTTP status of a refusal or a failure.
func GRPCCode(status int) int { return codeOf(status).number }

// message returns the text of an error: the title, the reason and the reference.
func (d Document) message() string {
	var b strings.Builder
	b.WriteString(d.Title)
	if d.Reason != "" {
		b.WriteString(" (" + string(d.Reason))
		if d.Reference != "" {
			b.WriteString(", reference " + d.Reference)
		}
		b.WriteString(")")
	}
	for _, line := range d.Explanation {
		b.WriteString("\n" + line)
	}
	return b.String()
}
