package policy

// Kept returns how many ids of groups an engine keeps for its users, and for how many users
// it keeps none.
func (e *Engine) Kept() (ids, without int) {
	for _, u := range e.users {
		if u.set == noSet {
			without++
		}
	}
	return len(e.setGroups), without
}
