package wire

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Registration is what a server offers when it registers.
type Registration struct {
	Services []string
	Streams  int // requests at one time
}

// Request returns the request that registers with a gateway.
func (g Registration) Request(host string) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, "http://"+host+RegisterPath, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", Protocol)
	r.Header.Set(HeaderServices, strings.Join(g.Services, ","))
	r.Header.Set(HeaderStreams, strconv.Itoa(g.Streams))
	return r, nil
}

// ReadRegistration reads the headers that Request sets. It rejects every other spelling
// of them.
func ReadRegistration(h http.Header) (Registration, error) {
	text, ok := SingleValue(h, HeaderServices)
	if !ok || text == "" {
		return Registration{}, fmt.Errorf("%s must have one value", HeaderServices)
	}
	services := strings.Split(text, ",")
	if len(services) > MaxServices {
		return Registration{}, fmt.Errorf("%s has more than %d services", HeaderServices, MaxServices)
	}
	seen := map[string]bool{}
	for _, s := range services {
		if !ValidName(s) || seen[s] {
			return Registration{}, fmt.Errorf("%s has an invalid or repeated service", HeaderServices)
		}
		seen[s] = true
	}
	text, _ = SingleValue(h, HeaderStreams)
	streams, err := strconv.Atoi(text)
	if err != nil || streams < 1 || streams > MaxStreams || strconv.Itoa(streams) != text {
		return Registration{}, fmt.Errorf("%s must be a number from 1 to %d", HeaderStreams, MaxStreams)
	}
	return Registration{services, streams}, nil
}

// Accept answers a registration: HTTP/2 follows on the connection.
func Accept(c net.Conn) error {
	c.SetDeadline(time.Now().Add(HandshakeTimeout))
	_, err := c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + Protocol + "\r\n\r\n"))
	c.SetDeadline(time.Time{})
	return err
}

// NameHint describes the names that ValidName accepts.
const NameHint = "use letters, digits and, after the first character, '.', '_' and '-'"

const maxNameLength = 128

// ValidName reports whether text may be the name of a service, a tunnel or a protocol.
func ValidName(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '-' || c == '_'):
		default:
			return false
		}
	}
	return text != "" && len(text) <= maxNameLength
}
