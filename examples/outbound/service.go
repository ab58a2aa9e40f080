package main

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/outbound/keystore"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

// newTransport returns a transport with the clients A, B and C of the partner.
func newTransport(stderr io.Writer) (*outbound.Transport, error) {
	keys := new(keystore.Memory)
	for alias, name := range map[string]string{"a": "alice", "b": "bob", "c": "carol"} {
		certificate, err := pair(name)
		if err != nil {
			return nil, err
		}
		credential, err := outbound.NewCredential(alias, certificate)
		if err != nil {
			return nil, err
		}
		if err := keys.Put(credential); err != nil {
			return nil, err
		}
	}
	data, err := pki.Files.ReadFile("server-ca.pem")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(data) // New rejects an empty pool
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	return outbound.New(outbound.Config{
		Keystore: keys,
		Roots:    roots,
		OnHandshake: func(h outbound.Handshake) {
			log.Info("handshake", "as", h.Alias, "origin", h.Origin, "asked", h.Asked, "sent", h.Sent, "resumed", h.Resumed, "error", h.Err)
		},
	})
}

// answer is the service's answer about a call.
type answer struct {
	As    string `json:"as"`
	Saw   string `json:"partner_saw,omitempty"`
	Error string `json:"error,omitempty"`
}

// newService returns a handler that calls the partner with the certificate that the query
// names. A real service authorizes this choice with outbound.Config.Allow.
func newService(transport http.RoundTripper, partner string) http.Handler {
	client := &http.Client{Transport: transport}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /call", func(w http.ResponseWriter, r *http.Request) {
		ctx, as := r.Context(), r.URL.Query().Get("as")
		switch as {
		case "": // no choice: the call fails
		case "nobody":
			ctx = outbound.AsNobody(ctx)
		default:
			ctx = outbound.As(ctx, as)
		}
		saw, err := call(client, r.WithContext(ctx), partner)
		out, status := answer{As: as, Saw: saw}, http.StatusOK
		switch {
		case errors.Is(err, outbound.ErrUnknownAlias), errors.Is(err, outbound.ErrNoIdentity):
			out.Error, status = err.Error(), http.StatusBadRequest
		case err != nil:
			out.Error, status = err.Error(), http.StatusBadGateway
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(out) // the client may have gone away
	})
	return mux
}

func call(client *http.Client, r *http.Request, partner string) (string, error) {
	out, err := http.NewRequestWithContext(r.Context(), http.MethodGet, partner, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(out)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	return string(body), err
}
