package site

import (
	"bytes"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/policy"
)

// denyAll stands in for a file that is wrong, or not needed.
var denyAll, _ = policy.New(nil, nil)

// compiledPolicy is a kept policy.
type compiledPolicy struct {
	engine *policy.Engine
	empty  bool // it has no rule
}

func (l *loader) policy(path string, f *config.File, names, methods []string) *policy.Engine {
	if l.program.Policy != nil || f.Policy.Value == "" {
		return denyAll // config.Parse has reported it, if the policy is needed
	}
	name := l.files.Beside(path, f.Policy.Value)
	digest, ok := l.digest(f.Policy.In(path), name)
	if !ok {
		return nil
	}
	compiled, ok := keep(l, keyOf("policy", name, digest, names, methods), func() (out compiledPolicy, ok bool) {
		data, ok := l.text(f.Policy.In(path), name)
		if !ok {
			return out, false
		}
		defer l.files.Release(name)
		engine, err := policy.Load(name, bytes.NewReader(data), policy.WithPorts(names...), policy.WithMethods(methods...))
		l.wrong.Merge(placed(err, name, 0), configerror.Error{File: name})
		if err != nil {
			return compiledPolicy{engine: engine}, false
		}
		rules, _ := engine.Rules()
		return compiledPolicy{engine, len(rules) == 0}, true
	})
	if ok && compiled.empty {
		l.warn("policy", configerror.Error{File: name}, "the policy has no rule: everything is denied", "p, group:staff, *, GET, /*, allow")
	}
	return compiled.engine
}
