package console

import (
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// OnlyCommand makes kong read the grammar of the command that the arguments begin with. Reading the
// grammar of all commands takes longer than most commands run. The commands are fields of grammar, a
// struct. All are read if the first argument is no command, or the command completion: it lists them.
func OnlyCommand(grammar any, args []string) kong.Option {
	var others []string
	found := false
	for _, f := range reflect.VisibleFields(reflect.TypeOf(grammar)) {
		if _, isCommand := f.Tag.Lookup("cmd"); !isCommand {
			continue
		}
		if len(args) > 0 && args[0] != "completion" && args[0] == strings.ToLower(f.Name) {
			found = true
		} else {
			others = append(others, f.Name)
		}
	}
	if !found || len(others) == 0 {
		return kong.IgnoreFields()
	}
	return kong.IgnoreFields(`^` + reflect.TypeOf(grammar).Name() + `\.(` + strings.Join(others, "|") + `)$`)
}
