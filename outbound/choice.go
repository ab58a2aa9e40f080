package outbound

import "context"

// choice is the identity that a context chooses for its calls.
type choice struct {
	kind  kind
	alias string
}

type kind int

const (
	byDefault kind = iota
	byAlias
	asNobody
)

type choiceKey struct{}

// As returns a context whose calls present the credential of an alias. The innermost
// choice of a context counts.
func As(ctx context.Context, alias string) context.Context {
	return context.WithValue(ctx, choiceKey{}, &choice{byAlias, alias})
}

// AsDefault returns a context whose calls present the credential of Config.Default,
// whatever the outer contexts chose. Without a Default such calls fail with
// ErrNoIdentity.
func AsDefault(ctx context.Context) context.Context {
	return context.WithValue(ctx, choiceKey{}, &choice{kind: byDefault})
}

// AsNobody returns a context whose calls present no certificate.
func AsNobody(ctx context.Context) context.Context {
	return context.WithValue(ctx, choiceKey{}, &choice{kind: asNobody})
}

// withoutChoice returns a context without a choice, for the code that runs underneath a
// call: a dialler or an Allow that makes calls of its own must choose their identity
// itself.
func withoutChoice(ctx context.Context) context.Context {
	return context.WithValue(ctx, choiceKey{}, (*choice)(nil))
}

// choiceOf returns the choice of a context, or nil.
func choiceOf(ctx context.Context) *choice {
	c, _ := ctx.Value(choiceKey{}).(*choice)
	return c
}
