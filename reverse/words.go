package reverse

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// How a server registers: an HTTP/1.1 upgrade (RFC 9110 section 7.8). After it the
// gateway speaks HTTP/2 as the client, on the connection that the server dialled.
const (
	protocol     = "mtlsguard-tunnel/1"
	registerPath = "/mtlsguard/tunnel"
)

// The headers between gateway and server. All of them are identity headers by their
// prefix: whoever else writes them, the gateway, the server and the guard delete them.
const (
	headerServices = "X-Mtls-Services"    // hello: what the server offers to serve
	headerStreams  = "X-Mtls-Streams"     // hello: how many requests it takes at one time
	headerKind     = "X-Mtls-Tunnel"      // one of the kinds
	headerCaller   = "X-Mtls-Caller"      // one of the two below: the absence of a certificate is stated, too
	headerRemote   = "X-Mtls-Remote"      // the client's address
	headerSNI      = "X-Mtls-Server-Name" // what the client asked for
	headerService  = "X-Mtls-Service"     // for whom the gateway takes the request
	headerUpgrade  = "X-Mtls-Upgrade"     // the protocol that the client wants to switch to
)

// The kinds of exchange in a tunnel.
const (
	kindControl = "control" // the first: both sides talk about the tunnel itself
	kindRequest = "request"
	kindUpgrade = "upgrade" // a request that may become a connection
	kindStream  = "stream"  // a connection of a client, end to end
	kindTaken   = "taken"   // an answer: the handler has taken the connection
	kindBusy    = "busy"    // an answer: too many handlers run, none has seen the request
)

const (
	callerCertificate = "certificate"
	callerNone        = "none"
)

// The words of the control exchange, one a line.
const (
	wordWelcome = "welcome" // gateway: requests will come from now on
	wordRenew   = "renew"   // gateway: this tunnel grows old, dial another
	wordBye     = "bye"     // gateway: no more requests, I am going
	wordDrain   = "drain"   // server: no more requests, please
	wordAck     = "ack"     // gateway: none will come, and those under way may finish
)

const (
	// window is how much of one body waits in memory for whoever is slow. All streams
	// together stay below the window of their connection, so that none of them can
	// stop another.
	window = 256 << 10
	// frameSize is the largest frame that each end accepts. The other end keeps a buffer
	// of that size for each body that it sends.
	frameSize = 16 << 10
	// slack is for streams that one side has forgotten and the other not yet.
	slack = 64

	defaultStreams     = 250
	mostStreams        = 4096
	mostServices       = 100
	tableSize          = 256 << 10 // of HPACK: a certificate that is stated again costs some bytes
	headerBytes        = 128 << 10
	helloTime          = 10 * time.Second
	defaultPing        = 10 * time.Second
	defaultPingTimeout = 5 * time.Second
)

// connectionWindow holds every stream's window and more.
func connectionWindow(streams int) int { return (streams + slack + 2) * window }

// hello is what a server says of itself when it registers.
type hello struct {
	services []string
	streams  int
}

// request is the request that registers.
func (h hello) request(host string) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, "http://"+host+registerPath, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", protocol)
	h.write(r.Header)
	return r, nil
}

func (h hello) write(to http.Header) {
	to.Set(headerServices, strings.Join(h.services, ","))
	to.Set(headerStreams, strconv.Itoa(h.streams))
}

// readHello reads what write wrote, and nothing that is nearly that.
func readHello(from http.Header) (hello, error) {
	var h hello
	services, ok := single(from, headerServices)
	if !ok || services == "" {
		return h, fmt.Errorf("%s must be one line", headerServices)
	}
	h.services = strings.Split(services, ",")
	if len(h.services) > mostServices {
		return hello{}, fmt.Errorf("more than %d services", mostServices)
	}
	seen := map[string]bool{}
	for _, s := range h.services {
		if !validName(s) || seen[s] {
			return hello{}, fmt.Errorf("%s holds something that is no service, or one twice", headerServices)
		}
		seen[s] = true
	}
	text, _ := single(from, headerStreams)
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > mostStreams || strconv.Itoa(n) != text {
		return hello{}, fmt.Errorf("%s must be a number from 1 to %d", headerStreams, mostStreams)
	}
	h.streams = n
	return h, nil
}

// single is the value of a header that stands exactly once.
func single(h http.Header, name string) (string, bool) {
	values := h[name]
	if len(values) != 1 {
		return "", false
	}
	return values[0], true
}

const longestName = 128

// validName reports whether text may be the name of a service or of a tunnel.
func validName(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '-' || c == '_'):
		default:
			return false
		}
	}
	return text != "" && len(text) <= longestName
}

const nameHint = "letters, digits and . _ - after the first"

// bounds checks the settings that both sides have.
func bounds(wrong *errorlist.List, config string, ping, timeout time.Duration, streams int) {
	if ping < 0 || timeout < 0 {
		wrong.Add(configerror.Error{What: config + ".Ping or PingTimeout is negative", Hint: "a silent peer would never be noticed; 0 means 10 s and 5 s"})
	}
	if streams < 1 || streams > mostStreams {
		wrong.Add(configerror.Error{What: fmt.Sprintf("%s.Streams is %d", config, streams), Hint: fmt.Sprintf("1 to %d; 0 means %d", mostStreams, defaultStreams)})
	}
}
