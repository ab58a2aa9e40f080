package ocsp

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

const (
	maxBody   = 64 << 10
	nonceSize = 32 // RFC 9654 section 2.1
)

var oidNonce = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}

// query is one request and the values that its answer must match.
type query struct {
	cert, issuer *x509.Certificate
	certID       *ocsp.Request // the CertID of the request
	nonce        []byte        // nil: the request has none
	der          []byte
}

func newQuery(cert, issuer *x509.Certificate, withNonce bool) (*query, error) {
	der, err := ocsp.CreateRequest(cert, issuer, nil)
	if err != nil {
		return nil, &failure{what: "the request cannot be encoded", err: err}
	}
	id, err := ocsp.ParseRequest(der)
	if err != nil {
		return nil, &failure{what: "the request cannot be encoded", err: err}
	}
	q := &query{cert: cert, issuer: issuer, certID: id, der: der}
	if withNonce {
		q.nonce = make([]byte, nonceSize)
		rand.Read(q.nonce) // never fails
		if err := q.addNonce(); err != nil {
			return nil, &failure{what: "the request cannot be encoded", err: err}
		}
	}
	return q, nil
}

// addNonce adds the nonce extension, which x/crypto/ocsp cannot encode.
func (q *query) addNonce() error {
	var plain struct{ TBS struct{ List asn1.RawValue } }
	if _, err := asn1.Unmarshal(q.der, &plain); err != nil {
		return err
	}
	value, err := asn1.Marshal(q.nonce)
	if err != nil {
		return err
	}
	var full struct {
		TBS struct {
			List       asn1.RawValue
			Extensions []pkix.Extension `asn1:"explicit,tag:2"`
		}
	}
	full.TBS.List = plain.TBS.List
	full.TBS.Extensions = []pkix.Extension{{Id: oidNonce, Value: value}}
	q.der, err = asn1.Marshal(full)
	return err
}

// post sends a request and returns the body of the answer.
func (c *Client) post(ctx context.Context, der []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(der))
	if err != nil {
		return nil, &failure{what: "the request cannot be sent", err: err}
	}
	request.Header.Set("Content-Type", "application/ocsp-request")
	request.Header.Set("Accept", "application/ocsp-response")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, transportError(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK { // also for redirects
		return nil, responderError(fmt.Sprintf("the responder returned HTTP %d", response.StatusCode))
	}
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || kind != "application/ocsp-response" {
		return nil, responderError("the content type of the answer is not application/ocsp-response")
	}
	if e := response.Header.Get("Content-Encoding"); response.Uncompressed || e != "" && !strings.EqualFold(e, "identity") {
		return nil, responderError("the answer has a content encoding")
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return nil, transportError(err)
	}
	if len(body) > maxBody {
		return nil, responderError(fmt.Sprintf("the answer is larger than %d KiB", maxBody>>10))
	}
	return body, nil
}

func transportError(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the URL, which is configured
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &failure{what: "the responder did not answer in time", err: err, responder: true}
	}
	return &failure{what: "the responder cannot be reached", err: err, responder: true}
}

// httpClient returns a copy of the given client that follows no redirects, and has no proxy
// unless its own transport has one.
func httpClient(given *http.Client, concurrent int) *http.Client {
	c := &http.Client{}
	if given != nil {
		*c = *given
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			Proxy:                  nil,
			MaxConnsPerHost:        concurrent,
			MaxIdleConnsPerHost:    min(concurrent, 4),
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
			DisableCompression:     true,
		}
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Jar = nil
	return c
}
