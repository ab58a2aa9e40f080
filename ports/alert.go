package ports

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/mtlsguard/mtlsguard/reason"
)

// The alerts about a client's certificate (RFC 8446 section 6.2).
const (
	alertBadCertificate     = 42
	alertCertificateRevoked = 44
	alertCertificateExpired = 45
	alertUnknownCA          = 48
)

// alertFor returns the alert for a refused client certificate. A port that hides its
// authorities sends the same alert for all: unknown_ca would reveal which it has.
func alertFor(err error, hideAuthorities bool) uint8 {
	refusal, ok := errors.AsType[*reason.Refusal](err)
	if !ok || hideAuthorities {
		return alertBadCertificate
	}
	switch refusal.Reason {
	case reason.Expired, reason.NotYetValid: // RFC 8446: "expired or is not currently valid"
		return alertCertificateExpired
	case reason.UnknownAuthority:
		return alertUnknownCA
	case reason.Revoked:
		return alertCertificateRevoked
	}
	return alertBadCertificate
}

// alertRecord replaces the alert with which crypto/tls ends a refused handshake: it sends
// bad_certificate for every error of VerifyConnection, and has no way to choose another. A
// TLS 1.2 alert is plain text at that point. A TLS 1.3 alert is encrypted, so alertRecord gets
// the key log of its one handshake and encrypts its own: it keeps one secret in memory, which
// crypto/tls has there too, and writes none. Only one of the two records is sent, so no nonce
// is used twice. If anything is unexpected, the alert of crypto/tls stays.
type alertRecord struct {
	secret    []byte // server_application_traffic_secret_0 (RFC 8446 section 7.1)
	encrypted int    // encrypted records that the server has sent
	code      uint8  // 0: the handshake is not refused
	version   uint16 // of TLS; set with code, as the rest
	suite     uint16
	resumed   bool
}

// set stores the alert for a refused certificate, and what the connection is.
func (a *alertRecord) set(code uint8, of *tls.ConnectionState) {
	a.code, a.version, a.suite, a.resumed = code, of.Version, of.CipherSuite, of.DidResume
}

const serverTrafficSecret = "SERVER_TRAFFIC_SECRET_0"

// keyLog is a rawConn as the key log of its handshake. crypto/tls keeps the key log as long as the
// connection, so it holds nothing itself.
type keyLog rawConn

// Write takes a line of the key log. Nothing is written.
func (k *keyLog) Write(line []byte) (int, error) {
	if h := k.handshake; h != nil {
		h.alert.readKeyLog(line)
	}
	return len(line), nil
}

// readKeyLog reads a line of crypto/tls's key log: label, client random, secret.
func (a *alertRecord) readKeyLog(line []byte) {
	if rest, ok := bytes.CutPrefix(line, []byte(serverTrafficSecret+" ")); ok {
		if _, secret, ok := bytes.Cut(bytes.TrimSpace(rest), []byte(" ")); ok {
			a.secret, _ = hex.DecodeString(string(secret)) // without a secret the alert of crypto/tls stays
		}
	}
}

const (
	recordAlert           = 21
	recordApplicationData = 23
	recordHeader          = 5
	alertFatal            = 2
)

// replace returns what takes the place of records that crypto/tls writes: the same, or as
// many bytes with another alert in the last record.
func (a *alertRecord) replace(b []byte) []byte {
	rest, last := b, []byte(nil)
	for ; len(rest) >= recordHeader; rest = rest[len(last):] {
		last = rest[:min(len(rest), recordHeader+int(binary.BigEndian.Uint16(rest[3:])))]
		if last[0] == recordApplicationData && a.code == 0 {
			a.encrypted++
		}
	}
	if a.code == 0 {
		return b
	}
	var record []byte
	switch {
	case a.version == tls.VersionTLS12 && len(last) == recordHeader+2 && last[0] == recordAlert && last[6] == alertBadCertificate:
		record = append(bytes.Clone(last[:6]), a.code)
	case a.version == tls.VersionTLS13 && len(last) == recordHeader+3+16 && last[0] == recordApplicationData:
		record = a.encrypt(last[:recordHeader])
	}
	a.code = 0 // once
	if len(record) != len(last) || len(rest) > 0 {
		return b
	}
	return slices.Concat(b[:len(b)-len(last)], record)
}

// encrypt returns an alert as an encrypted record of TLS 1.3 (RFC 8446 section 5.2), or nil.
func (a *alertRecord) encrypt(header []byte) []byte {
	aead, iv := a.cipher()
	if aead == nil {
		return nil
	}
	var number uint64 // of the record under this secret
	if a.resumed {
		// The tickets went out before the client's answer, after EncryptedExtensions and
		// Finished, which have another key.
		number = uint64(a.encrypted - 2)
	}
	nonce := iv
	for i := range 8 {
		nonce[len(nonce)-1-i] ^= byte(number >> (8 * i))
	}
	return aead.Seal(bytes.Clone(header), nonce, []byte{alertFatal, a.code, recordAlert}, header)
}

// cipher returns the cipher of the secret and its first nonce (RFC 8446 section 7.3), or nil.
func (a *alertRecord) cipher() (cipher.AEAD, []byte) {
	newHash, size := sha256.New, 16
	switch a.suite {
	case tls.TLS_AES_128_GCM_SHA256:
	case tls.TLS_AES_256_GCM_SHA384:
		newHash, size = sha512.New384, 32
	case tls.TLS_CHACHA20_POLY1305_SHA256:
		size = chacha20poly1305.KeySize
	default:
		return nil, nil
	}
	key, iv := a.expand(newHash, "key", size), a.expand(newHash, "iv", 12)
	if key == nil || iv == nil {
		return nil, nil
	}
	if a.suite == tls.TLS_CHACHA20_POLY1305_SHA256 {
		aead, err := chacha20poly1305.New(key)
		if err != nil {
			return nil, nil
		}
		return aead, iv
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil
	}
	return aead, iv
}

// expand is HKDF-Expand-Label with an empty context (RFC 8446 section 7.1), or nil.
func (a *alertRecord) expand(newHash func() hash.Hash, label string, size int) []byte {
	label = "tls13 " + label
	info := string([]byte{0, byte(size), byte(len(label))}) + label + "\x00"
	key, err := hkdf.Expand(newHash, a.secret, info, size)
	if err != nil || len(a.secret) == 0 {
		return nil
	}
	return key
}
