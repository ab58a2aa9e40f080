package policy

// Replace puts another engine behind a shadow, as a defect would.
func (s *Shadow) Replace(e *Engine) { s.engine = e }
