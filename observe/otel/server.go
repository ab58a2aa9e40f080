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

// Watch adds the metrics of s, which are read at each collection until Unregister is
// called on the registration.
func (t *Telemetry) Watch(s *mtlsguard.Server) (metric.Registration, error) {
	w := watch{server: s, meter: t.meter}
	w.ready = w.addIntGauge("mtlsguard.ready", "1", "1 if the server is ready for callers, otherwise 0.")
	w.degraded = w.addIntGauge("mtlsguard.degraded", "1", "1 if the last reload failed or a CRL is late, otherwise 0.")
	w.reloadFailed = w.addIntGauge("mtlsguard.reload.failed", "1", "1 if the last reload failed and an older configuration is in effect, otherwise 0.")
	w.generation = w.addIntGauge("mtlsguard.generation", "{generation}", "The number of configurations that have taken effect since the start.")
	w.connections = w.addIntGauge("mtlsguard.connections", "{connection}", "Open connections.")
	w.anchors = w.addIntGauge("mtlsguard.anchors", "{certificate}", "The number of the port's trust anchors.")
	w.fileGeneration = w.addIntGauge("mtlsguard.file.generation", "{generation}", "The generation in which the current content of the file took effect.")
	w.sourceNumber = w.addIntGauge("mtlsguard.source.number", "{generation}", "The number of the fleet's generation in effect.")
	w.sourceConnected = w.addIntGauge("mtlsguard.source.connected", "1", "1 if the last answer of the source was no error, otherwise 0.")
	w.sourceRefused = w.addIntGauge("mtlsguard.source.refused", "{generation}", "The number of the newest generation if this node refused it, otherwise 0.")
	w.sourceAge = w.addSecondsGauge("mtlsguard.source.age", "The time since the source of the fleet answered last.")
	w.serverRemaining = w.addSecondsGauge("mtlsguard.server.certificate.remaining", "The remaining validity of the certificate that the port presents.")
	w.anchorRemaining = w.addSecondsGauge("mtlsguard.anchor.remaining", "The remaining validity of the port's trust anchor that expires first.")
	w.crlRemaining = w.addSecondsGauge("mtlsguard.crl.remaining", "The time to the earliest next update of the CRLs that the port needs.")
	w.fileAge = w.addSecondsGauge("mtlsguard.file.age", "The time since the current content of the file took effect.")
	w.dropped = w.addCounter("mtlsguard.log.dropped", "{line}", "Log lines dropped because the log was too slow, or failed.")
	w.shadowChecked = w.addCounter("mtlsguard.shadow.checked", "{request}", "Decisions that Casbin checked again, since the current configuration took effect.")
	w.shadowDifferent = w.addCounter("mtlsguard.shadow.different", "{request}", "Decisions that Casbin decides differently.")
	if err := errors.Join(w.errs...); err != nil {
		return nil, err
	}
	return t.meter.RegisterCallback(w.observe, w.all...)
}

// watch holds the instruments of one server.
type watch struct {
	server *mtlsguard.Server
	meter  metric.Meter
	all    []metric.Observable
	errs   []error

	ready, degraded, reloadFailed, generation, connections, anchors, fileGeneration metric.Int64ObservableGauge
	sourceNumber, sourceConnected, sourceRefused                                    metric.Int64ObservableGauge
	serverRemaining, anchorRemaining, crlRemaining, fileAge, sourceAge              metric.Float64ObservableGauge
	dropped, shadowChecked, shadowDifferent                                         metric.Int64ObservableCounter
}

func (w *watch) addIntGauge(name, unit, about string) metric.Int64ObservableGauge {
	g, err := w.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(about))
	w.all, w.errs = append(w.all, g), append(w.errs, err)
	return g
}

func (w *watch) addSecondsGauge(name, about string) metric.Float64ObservableGauge {
	g, err := w.meter.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(about))
	w.all, w.errs = append(w.all, g), append(w.errs, err)
	return g
}

func (w *watch) addCounter(name, unit, about string) metric.Int64ObservableCounter {
	c, err := w.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(about))
	w.all, w.errs = append(w.all, c), append(w.errs, err)
	return c
}

func (w *watch) observe(_ context.Context, o metric.Observer) error {
	status, inventory := w.server.Status(), w.server.Inventory()
	o.ObserveInt64(w.ready, boolValue(status.Ready()))
	o.ObserveInt64(w.degraded, boolValue(len(status.Degraded) > 0))
	o.ObserveInt64(w.reloadFailed, boolValue(len(status.Failed) > 0))
	o.ObserveInt64(w.generation, int64(status.Generation))
	o.ObserveInt64(w.dropped, int64(status.Dropped))
	o.ObserveInt64(w.shadowChecked, int64(status.Shadow.Checked))
	o.ObserveInt64(w.shadowDifferent, int64(status.Shadow.Different))
	if source := status.Source; source != nil {
		o.ObserveInt64(w.sourceNumber, int64(source.Number))
		o.ObserveInt64(w.sourceConnected, boolValue(source.Connected))
		o.ObserveInt64(w.sourceRefused, int64(source.Refused))
		if !source.Heard.IsZero() {
			o.ObserveFloat64(w.sourceAge, inventory.At.Sub(source.Heard).Seconds())
		}
	}
	for _, p := range status.Ports {
		o.ObserveInt64(w.connections, int64(p.Connections), metric.WithAttributes(portKey.String(p.Name)))
	}
	for _, p := range inventory.Ports {
		port := metric.WithAttributes(portKey.String(p.Name))
		left := func(g metric.Float64ObservableGauge, end time.Time) {
			if !end.IsZero() {
				o.ObserveFloat64(g, end.Sub(inventory.At).Seconds(), port)
			}
		}
		o.ObserveInt64(w.anchors, int64(len(p.Anchors)), port)
		left(w.serverRemaining, p.CertificateNotAfter)
		left(w.crlRemaining, p.FreshUntil)
		if len(p.Anchors) > 0 {
			left(w.anchorRemaining, p.Anchors[0].NotAfter)
		}
	}
	for _, f := range inventory.Files {
		file := metric.WithAttributes(fileKey.String(printable(f.Name)))
		o.ObserveInt64(w.fileGeneration, int64(f.Generation), file)
		o.ObserveFloat64(w.fileAge, time.Since(f.Since).Seconds(), file)
	}
	return nil
}

func boolValue(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
