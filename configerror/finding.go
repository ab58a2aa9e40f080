package configerror

// Finding is a part of a configuration that loads and is probably wrong, or, as a Note,
// that is easily misread.
type Finding struct {
	About  string // users, policy, trust or ports; may be empty
	File   string
	Line   int // from 1; 0: the finding has no line
	Column int // from 1; 0: the finding has no column
	What   string
	Hint   string // how to correct it; may be empty
	Note   bool   // nothing is wrong: What explains the setting
}

// String returns "file:line: what (hint)", the form of Error.
func (f Finding) String() string {
	return (&Error{File: f.File, Line: f.Line, Column: f.Column, What: f.What, Hint: f.Hint}).Error()
}
