package shadow

import "github.com/mtlsguard/mtlsguard/policy"

// ReplaceEngine changes the engine and keeps the enforcer: a stand-in for a defect.
func (p *Policy) ReplaceEngine(e *policy.Engine) { p.engine = e }
