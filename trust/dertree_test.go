package trust_test

import (
	"math/rand/v2"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// node is a DER element. Constructed elements, and octet strings that hold one DER element,
// have children.
type node struct {
	tag     der.Tag
	content []byte
	inner   []*node
}

// readNodes reads DER elements, one after the other; nil where data is not DER.
func readNodes(data []byte) []*node {
	var out []*node
	for s := cryptobyte.String(data); !s.Empty(); {
		var content cryptobyte.String
		var tag der.Tag
		if !s.ReadAnyASN1(&content, &tag) {
			return nil
		}
		n := &node{tag: tag, content: slices.Clone(content)}
		if tag&0x20 != 0 || tag == der.OCTET_STRING {
			n.inner = readNodes(content)
		}
		out = append(out, n)
	}
	return out
}

func (n *node) bytes() []byte {
	content := n.content
	if n.inner != nil {
		content = nil
		for _, c := range n.inner {
			content = append(content, c.bytes()...)
		}
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(n.tag, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	return b.BytesOrPanic()
}

func (n *node) clone() *node {
	out := &node{tag: n.tag, content: slices.Clone(n.content)}
	for _, c := range n.inner {
		out.inner = append(out.inner, c.clone())
	}
	return out
}

// all returns n and the elements within it.
func (n *node) all() []*node {
	out := []*node{n}
	for _, c := range n.inner {
		out = append(out, c.all()...)
	}
	return out
}

func element(tag der.Tag, content ...byte) *node { return &node{tag: tag, content: content} }

// strays returns a random element to insert in a wrong place.
func strays(r *rand.Rand, n *node) *node {
	nodes := n.all()
	switch r.IntN(8) {
	case 0:
		return element(der.INTEGER, byte(r.IntN(128)))
	case 1:
		return element(der.SEQUENCE)
	case 2:
		return element(der.NULL)
	case 3:
		return element(der.UTCTime, []byte("300102030405Z")...)
	case 4:
		return element(der.GeneralizedTime, []byte("20600102030405Z")...)
	case 5:
		return element(der.Tag(r.IntN(6)).Constructed().ContextSpecific())
	}
	return nodes[r.IntN(len(nodes))].clone()
}

// mutate makes one random change within n.
func (n *node) mutate(r *rand.Rand) {
	nodes := n.all()
	for range 50 {
		at := nodes[r.IntN(len(nodes))]
		if at.inner == nil {
			switch {
			case len(at.content) > 0 && r.IntN(2) == 0:
				at.content[r.IntN(len(at.content))] ^= 1 << r.IntN(8)
			case len(at.content) > 0 && r.IntN(2) == 0:
				at.content = at.content[:len(at.content)-1]
			case r.IntN(3) == 0:
				at.content = append(at.content, byte(r.IntN(256)))
			case r.IntN(3) == 0:
				at.content = append([]byte{0}, at.content...)
			default:
				at.tag = []der.Tag{der.INTEGER, der.UTF8String, der.PrintableString, der.GeneralizedTime, der.UTCTime, der.SEQUENCE, der.BIT_STRING}[r.IntN(7)]
			}
			return
		}
		i := r.IntN(len(at.inner) + 1)
		switch r.IntN(6) {
		case 0, 1:
			at.inner = slices.Insert(at.inner, i, strays(r, n))
		case 2: // duplicate
			i = min(i, len(at.inner)-1)
			at.inner = slices.Insert(at.inner, i, at.inner[i].clone())
		case 3: // delete
			i = min(i, len(at.inner)-1)
			at.inner = slices.Delete(at.inner, i, i+1)
			if len(at.inner) == 0 {
				at.inner, at.content = nil, nil
			}
		case 4: // reorder
			if len(at.inner) < 2 {
				continue
			}
			j := r.IntN(len(at.inner))
			i = min(i, len(at.inner)-1)
			at.inner[i], at.inner[j] = at.inner[j], at.inner[i]
		default:
			tag := at.tag ^ []der.Tag{0x20, 0x80, 0x01, 0x10}[r.IntN(4)]
			if tag&0x1f == 0x1f {
				continue // the first byte of a longer tag
			}
			at.tag = tag
		}
		return
	}
}
