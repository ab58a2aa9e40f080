package configerror

// Finding is something that loads and is probably wrong: the result of a lint. Nothing is
// refused because of it.
type Finding struct {
	About  string // users, policy, trust or ports; empty where the caller knows
	File   string
	Line   int // from 1; 0: the finding has no line
	Column int // from 1; 0: the finding has no column
	What   string
	Hint   string // how to mend it; may be empty
}

// String returns "file:line: what (hint)", the form of Error.
func (f Finding) String() string {
	return (&Error{File: f.File, Line: f.Line, Column: f.Column, What: f.What, Hint: f.Hint}).Error()
}
