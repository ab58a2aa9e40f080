package site

import (
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/rulepath"
	"github.com/mtlsguard/mtlsguard/middleware"
)

// quotas returns the quotas for the guard. Package config has checked all but the paths.
func (l *loader) quotas(path string, f *config.File) []middleware.Quota {
	var out []middleware.Quota
	for _, q := range f.Quotas {
		if q.Path.Value != "" {
			if _, err := rulepath.Parse(q.Path.Value); err != nil {
				at := q.Path.In(path)
				for _, e := range configerror.All(err) {
					at.What, at.Hint = e.What, e.Hint
					l.wrong.Add(at)
				}
			}
		}
		per := middleware.PerUser
		if q.PerPort {
			per = middleware.PerPort
		}
		out = append(out, middleware.Quota{
			Name: q.Name, Group: q.Group.Value, Path: q.Path.Value, Per: per, Requests: q.Requests, Interval: q.Interval, Burst: q.Burst,
		})
	}
	return out
}
