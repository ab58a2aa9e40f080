package importer

import (
	"fmt"
	"slices"
)

// maxSame is how many mappings of one key are compared with one another.
const maxSame = 8

// resolveConflicts takes out mappings that give one certificate to two users, and reports them.
func (in *Import) resolveConflicts() error {
	groups, keys := map[string][]*mapping{}, make([]string, len(in.mappings))
	for i, m := range in.mappings {
		keys[i] = m.key()
		groups[keys[i]] = append(groups[keys[i]], m)
	}
	out := map[*mapping]bool{}
	for i := range in.mappings {
		same := groups[keys[i]]
		delete(groups, keys[i])
		if !slices.ContainsFunc(same, func(o *mapping) bool { return o.User != same[0].User }) {
			continue
		}
		if err := in.resolve(same, out); err != nil {
			return err
		}
	}
	for m := range out {
		if m.Disabled {
			m.line.Limit("the line refuses a certificate that other lines name too", "remove the other lines")
		}
	}
	in.mappings = slices.DeleteFunc(in.mappings, func(m *mapping) bool { return out[m] })
	return nil
}

// resolve adds to out which of the mappings of one key are left out.
func (in *Import) resolve(same []*mapping, out map[*mapping]bool) error {
	if len(same) > maxSame {
		for _, m := range same {
			out[m] = true
			m.line.Skip(fmt.Sprintf("%d lines are about the same certificate, for different users", len(same)), "one line is enough for one user")
		}
		return nil
	}
	for j, m := range same {
		for _, other := range same[:j] {
			if in.FirstWins && out[other] {
				continue
			}
			conflict, err := in.conflict(other, m)
			if err != nil {
				return err
			}
			if !conflict {
				continue
			}
			out[m] = true
			if in.FirstWins {
				m.line.Change(fmt.Sprintf("line %s gives the same certificate to user %s, and the first line decides there too", other.line.position(m.line), other.User))
				break
			}
			out[other] = true
			for a, b := range map[*mapping]*mapping{m: other, other: m} {
				a.line.Skip(fmt.Sprintf("line %s gives the same certificate to another user: %s, and this line to %s", b.line.position(a.line), b.User, a.User), "remove one of the two lines")
			}
		}
	}
	return nil
}

// conflict reports whether two mappings give one certificate to two users.
func (in *Import) conflict(a, b *mapping) (bool, error) {
	if a.User == b.User || a.Disabled || b.Disabled {
		return false, nil
	}
	for _, m := range []*mapping{a, b} {
		if _, err := in.loadUsers([]*mapping{m}); err != nil {
			return false, err
		}
	}
	_, err := in.loadUsers([]*mapping{a, b})
	return err != nil, nil
}
