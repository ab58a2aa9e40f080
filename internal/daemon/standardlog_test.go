package daemon

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
)

// Lines that net/http writes to package log become one line of JSON a minute, without a byte that a
// service has sent. Covers Y9.
func TestStandardLogHasNoBytesOfAnAnswer(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &standardLog{log: mtlsguard.JSONLog(&out, nil)}
	for range 3 {
		line := "Unsolicited response received on idle HTTP channel starting with \"HTTP/1.1 200 OK\\r\\n\\r\\nsecret\"; err=<nil>\n"
		if n, err := s.Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("got %d %v", n, err)
		}
	}
	var got struct{ Level, Msg, Error string }
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Level != "WARN" || got.Msg != "net/http" || got.Error != "Unsolicited response received on idle HTTP channel" {
		t.Errorf("got %+v, %v: %s; want the line of net/http as a WARN", got, err, out.String())
	}
	if strings.Contains(out.String(), "secret") {
		t.Error(out.String())
	}
}
