package otel

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/mtlsguard/mtlsguard"
)

// fileKey is the name of a file below the folder of mtlsguard.yaml.
const fileKey = attribute.Key("mtlsguard.file")

// Watch also tells of what s has in force, whenever metrics are read, until the
// registration is taken back with Unregister.
func (t *Telemetry) Watch(s *mtlsguard.Server) (metric.Registration, error) {
	w := watch{server: s, meter: t.meter}
	w.ready = w.number("mtlsguard.ready", "1", "Whether callers should be sent here: 1, or 0.")
	w.reloadFailed = w.number("mtlsguard.reload.failed", "1", "Whether the last reload failed and an older configuration is in force: 1, or 0.")
	w.generation = w.number("mtlsguard.generation", "{generation}", "The configurations that came into force since the start.")
	w.connections = w.number("mtlsguard.connections", "{connection}", "Open connections.")
	w.anchors = w.number("mtlsguard.anchors", "{certificate}", "The anchors of the port.")
	w.fileGeneration = w.number("mtlsguard.file.generation", "{generation}", "The configuration that what the file says came into force with.")
	w.serverLeft = w.left("mtlsguard.server.certificate.remaining", "What the certificate that the port shows has left.")
	w.anchorLeft = w.left("mtlsguard.anchor.remaining", "What the first of the port's anchors to end has left.")
	w.crlLeft = w.left("mtlsguard.crl.remaining", "The time to the earliest next update of the CRLs that the port needs.")
	w.fileAge = w.left("mtlsguard.file.age", "How long what the file says has been in force.")
	w.dropped = w.count("mtlsguard.log.dropped", "{line}", "Log lines that the log was too slow for.")
	w.shadowChecked = w.count("mtlsguard.shadow.checked", "{request}", "Decisions that Casbin was asked about again, since the configuration in force is.")
	w.shadowDiffers = w.count("mtlsguard.shadow.different", "{request}", "Decisions of these that Casbin makes otherwise.")
	if err := errors.Join(w.errs...); err != nil {
		return nil, err
	}
	return t.meter.RegisterCallback(w.observe, w.all...)
}

// watch reads one server.
type watch struct {
	server *mtlsguard.Server
	meter  metric.Meter
	all    []metric.Observable
	errs   []error

	ready, reloadFailed, generation, connections, anchors, fileGeneration metric.Int64ObservableGauge
	serverLeft, anchorLeft, crlLeft, fileAge                              metric.Float64ObservableGauge
	dropped, shadowChecked, shadowDiffers                                 metric.Int64ObservableCounter
}

func (w *watch) number(name, unit, about string) metric.Int64ObservableGauge {
	g, err := w.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(about))
	w.all, w.errs = append(w.all, g), append(w.errs, err)
	return g
}

func (w *watch) left(name, about string) metric.Float64ObservableGauge {
	g, err := w.meter.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(about))
	w.all, w.errs = append(w.all, g), append(w.errs, err)
	return g
}

func (w *watch) count(name, unit, about string) metric.Int64ObservableCounter {
	c, err := w.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(about))
	w.all, w.errs = append(w.all, c), append(w.errs, err)
	return c
}

func (w *watch) observe(_ context.Context, o metric.Observer) error {
	status, inventory := w.server.Status(), w.server.Inventory()
	o.ObserveInt64(w.ready, oneIf(status.Ready()))
	o.ObserveInt64(w.reloadFailed, oneIf(len(status.Failed) > 0))
	o.ObserveInt64(w.generation, int64(status.Generation))
	o.ObserveInt64(w.dropped, int64(status.Dropped))
	o.ObserveInt64(w.shadowChecked, int64(status.Shadow.Checked))
	o.ObserveInt64(w.shadowDiffers, int64(status.Shadow.Different))
	for _, p := range status.Ports {
		o.ObserveInt64(w.connections, int64(p.Connections), metric.WithAttributes(portKey.String(p.Name)))
	}
	for _, p := range inventory.Ports {
		port := metric.WithAttributes(portKey.String(p.Name))
		left := func(g metric.Float64ObservableGauge, end time.Time) {
			if !end.IsZero() { // there is none
				o.ObserveFloat64(g, end.Sub(inventory.At).Seconds(), port)
			}
		}
		o.ObserveInt64(w.anchors, int64(len(p.Anchors)), port)
		left(w.serverLeft, p.CertificateNotAfter)
		left(w.crlLeft, p.FreshUntil)
		if len(p.Anchors) > 0 {
			left(w.anchorLeft, p.Anchors[0].NotAfter)
		}
	}
	for _, f := range inventory.Files {
		file := metric.WithAttributes(fileKey.String(printable(f.Name)))
		o.ObserveInt64(w.fileGeneration, int64(f.Generation), file)
		o.ObserveFloat64(w.fileAge, time.Since(f.Since).Seconds(), file)
	}
	return nil
}

func oneIf(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
