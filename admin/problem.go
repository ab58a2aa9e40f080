package admin

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/mtlsguard/mtlsguard/configerror"
)

// document is a problem document (RFC 9457), as those of the guard, with what is wrong.
type document struct {
	Type   string     `json:"type"`
	Title  string     `json:"title"`
	Status int        `json:"status"`
	Detail string     `json:"detail"`
	Hint   string     `json:"hint,omitempty"`
	Errors []apiError `json:"errors,omitempty"`
}

// apiError is one configuration error.
type apiError struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	What   string `json:"what"`
	Hint   string `json:"hint,omitempty"`
}

func newAPIErrors(all []*configerror.Error) []apiError {
	var out []apiError
	for _, e := range all {
		out = append(out, apiError(*e))
	}
	return out
}

// Position returns the place of the error: FILE, FILE:LINE or FILE:LINE:COLUMN.
func (m apiError) Position() string { return (*configerror.Error)(&m).Position() }

// failure is an error with its status, for the caller.
type failure struct {
	Status       int
	Detail, Hint string
	Errors       []apiError
}

func (f *failure) Error() string { return f.Detail }

// invalid returns a failure about the caller's input.
func invalid(detail, hint string) error {
	return &failure{Status: http.StatusUnprocessableEntity, Detail: detail, Hint: hint}
}

func notFound(detail, hint string) error {
	return &failure{Status: http.StatusNotFound, Detail: detail, Hint: hint}
}

// asFailure returns the failure in an error. Configuration errors are about the caller's input;
// any other error is ours, and its text is not shown.
func asFailure(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if all := configerror.All(err); len(all) > 0 {
		return &failure{Status: http.StatusUnprocessableEntity, Detail: all[0].What, Hint: all[0].Hint, Errors: newAPIErrors(all)}
	}
	return &failure{Status: http.StatusInternalServerError, Detail: "the server could not answer", Hint: "this is a defect: please report it"}
}

// fail answers with a problem document.
func fail(w http.ResponseWriter, r *http.Request, status int, detail, hint string) {
	writeFailure(w, &failure{Status: status, Detail: detail, Hint: hint})
}

func writeFailure(w http.ResponseWriter, f *failure) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(document{
		Type: "about:blank", Title: http.StatusText(f.Status), Status: f.Status, Detail: f.Detail, Hint: f.Hint, Errors: f.Errors,
	})
}
