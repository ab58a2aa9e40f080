package forwarded

import (
	"encoding/base64"
	"strings"

	"github.com/dunglas/httpsfv"
)

// decodeRFC9440 decodes an Item and a List of Byte Sequences (RFC 9440 sections 2.1 to
// 2.3, RFC 8941 section 3.3.5). Parameters are an error although RFC 8941 would ignore
// them: no part of the headers goes unread.
func decodeRFC9440(cert, chain string) ([][]byte, error) {
	item, err := httpsfv.UnmarshalItem([]string{cert})
	if err != nil {
		return nil, errSequence
	}
	der, err := byteSequence(item, cert)
	if err != nil {
		return nil, err
	}
	out := [][]byte{der}
	if chain == "" {
		return out, nil // an empty List (RFC 8941 section 3.1)
	}
	if strings.Count(chain, ",") >= maxCertificates-1 {
		return nil, errTooMany
	}
	list, err := httpsfv.UnmarshalList([]string{chain})
	if err != nil {
		return nil, errSequence
	}
	texts := strings.Split(chain, ",") // a Byte Sequence contains no comma
	if len(texts) != len(list) {
		return nil, errSequence
	}
	for i, member := range list {
		item, ok := member.(httpsfv.Item)
		if !ok {
			return nil, errSequence
		}
		if i > 0 {
			texts[i] = strings.TrimLeft(texts[i], " \t") // OWS, RFC 8941 section 4.2.1
		}
		if i < len(list)-1 {
			texts[i] = strings.TrimRight(texts[i], " \t")
		}
		der, err := byteSequence(item, texts[i])
		if err != nil {
			return nil, err
		}
		out = append(out, der)
	}
	return out, nil
}

// byteSequence returns the bytes of an item. text must be the canonical form of the item
// and nothing else.
func byteSequence(item httpsfv.Item, text string) ([]byte, error) {
	der, ok := item.Value.([]byte)
	if !ok || ":"+base64.StdEncoding.EncodeToString(der)+":" != text {
		return nil, errSequence
	}
	return der, nil
}
