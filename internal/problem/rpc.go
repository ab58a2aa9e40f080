package problem

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// writeGRPC sends an answer of gRPC without messages: its trailers are in the only header
// ("Trailers-Only" in https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
func (d Document) writeGRPC(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Grpc-Status", strconv.Itoa(codeOf(d.Status).number))
	h.Set("Grpc-Message", percentEncode(d.message()))
	w.WriteHeader(http.StatusOK)
}

// percentEncode encodes a message of gRPC: all bytes but printable ASCII, and the percent sign.
func percentEncode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// connectError is an error of Connect (https://connectrpc.com/docs/protocol).
type connectError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (d Document) connectError() connectError {
	return connectError{codeOf(d.Status).name, d.message()}
}

// endOfStream is the flag of the last message in a stream of Connect.
const endOfStream = 0b10

// writeConnectStream sends a stream of Connect without messages: only its end, with the error.
func (d Document) writeConnectStream(w http.ResponseWriter, contentType string) {
	end, err := json.Marshal(struct {
		Error connectError `json:"error"`
	}{d.connectError()})
	if err != nil {
		http.Error(w, http.StatusText(d.Status), d.Status) // cannot happen with these fields; still not a 200
		return
	}
	body := binary.BigEndian.AppendUint32([]byte{endOfStream}, uint32(len(end)))
	body = append(body, end...)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // the caller may be gone
}
