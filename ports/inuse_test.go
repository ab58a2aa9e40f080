package ports

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
)

// The error of a port whose address is in use names the setting to change.
func TestAddressInUseIsAnErrorWithTheRemedy(t *testing.T) {
	t.Parallel()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	p := &Port{name: "internal"}
	p.state.Store(&state{config: Config{Addr: other.Addr().String()}})
	_, err = p.Listen(t.Context())
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(err.Error(), "ports: internal: listen tcp "+other.Addr().String()) || !strings.HasSuffix(err.Error(), "(another program listens there: stop it, or change listen in the file, Addr in code)") {
		t.Error(err)
	}
}
