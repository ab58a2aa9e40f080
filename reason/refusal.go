package reason

// Refusal is the error of every package that refuses a caller: the reason, and a detail
// for logs and explanations. The detail is never sent to the caller, and it contains
// text from the caller only escaped.
type Refusal struct {
	Reason Reason
	Detail string
	Err    error // the cause; may be nil
}

// Refuse returns a *Refusal without a cause. The detail may be empty.
func Refuse(r Reason, detail string) *Refusal { return &Refusal{Reason: r, Detail: detail} }

// Error returns "reason: detail", or the reason alone without a detail.
func (r *Refusal) Error() string {
	if r.Detail == "" {
		return string(r.Reason)
	}
	return string(r.Reason) + ": " + r.Detail
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }
