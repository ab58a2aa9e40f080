package certmap

// collector collects the mappings of a file, or of a part of one, that are correct by
// themselves. It does not look for conflicts.
type collector struct {
	pager  pager
	report report // not empty: the pages do not count
}

func (c *collector) add(at *origin, m *Mapping) {
	if compiled, ok := compile(&c.report, at, m); ok {
		c.pager.push(&compiled)
	}
}

func (c *collector) claimID(*origin, string) bool { return false }

func (c *collector) addWrong(*origin, string) {}

func (c *collector) addPlain(m *Mapping) bool {
	var wrong report
	compiled, ok := compile(&wrong, &origin{}, m)
	if ok {
		c.pager.push(&compiled)
	}
	return ok
}
