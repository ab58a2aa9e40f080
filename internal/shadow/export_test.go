package shadow

import "github.com/mtlsguard/mtlsguard/policy"

// ReplaceEngine replaces the engine and keeps the enforcer, to simulate a defect.
func (p *Policy) ReplaceEngine(e *policy.Engine) { p.engine = e }
