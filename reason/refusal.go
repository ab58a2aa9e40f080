package reason

// Refusal is the error of every package that refuses a caller: the word, and a
// detail for logs and explanations. The detail is never sent to the caller, and
// it never holds a caller's bytes unescaped.
type Refusal struct {
	Reason Reason
	Detail string
	Err    error // what lies beneath, if anything
}

// Refuse returns a *Refusal.
func Refuse(r Reason, detail string) *Refusal { return &Refusal{Reason: r, Detail: detail} }

// Error returns the word and the detail.
func (r *Refusal) Error() string {
	if r.Detail == "" {
		return string(r.Reason)
	}
	return string(r.Reason) + ": " + r.Detail
}

// Unwrap returns what lies beneath.
func (r *Refusal) Unwrap() error { return r.Err }
