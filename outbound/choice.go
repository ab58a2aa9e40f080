package outbound

import "context"

// choice is as whom the calls of a context are made.
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

// As returns a context whose calls present the credential of an alias. The
// innermost of several choices counts.
func As(ctx context.Context, alias string) context.Context {
	return context.WithValue(ctx, choiceKey{}, &choice{byAlias, alias})
}

// AsDefault returns a context whose calls present the credential of
// Config.Default, whatever was chosen before. Without a Default they fail.
func AsDefault(ctx context.Context) context.Context {
	return context.WithValue(ctx, choiceKey{}, &choice{kind: byDefault})
}

// AsNobody returns a context whose calls send no certificate.
func AsNobody(ctx context.Context) context.Context {
	return context.WithValue(ctx, choiceKey{}, &choice{kind: asNobody})
}

// withoutChoice keeps the choice from what runs underneath a call: a dialler or an
// Allow that makes calls itself makes them as whom it chooses, not as the caller.
func withoutChoice(ctx context.Context) context.Context {
	return context.WithValue(ctx, choiceKey{}, (*choice)(nil))
}

// chosen returns the choice of a context, or nil where none was made.
func chosen(ctx context.Context) *choice {
	c, _ := ctx.Value(choiceKey{}).(*choice)
	return c
}
