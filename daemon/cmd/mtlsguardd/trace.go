package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	api "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	guardotel "github.com/mtlsguard/mtlsguard/observe/otel"
)

// traceFlags configure where the spans of requests are sent. By default there are none.
type traceFlags struct {
	Traces     string  `env:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" placeholder:"URL" help:"Send a span of each allowed request to this collector of OpenTelemetry, OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces. Default: none."`
	TraceRatio float64 `default:"1" placeholder:"N" help:"The part of the traces that is sent, from 0 to 1. Default: ${default}."`
	TraceNames bool    `help:"Name users, mappings and subjects of certificates in spans."`
}

// endTime bounds the wait for the collector when the command ends.
const endTime = 5 * time.Second

// maxAttribute bounds the characters of an attribute of a span, unless OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT
// or OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT does.
const maxAttribute = 1024

// maxError bounds the bytes of an error of the exporter in the log: it has the collector's answer.
const maxError = 500

// open returns what makes the spans, or nil without --traces. end sends the last of them.
func (f *traceFlags) open(ctx context.Context, log *slog.Logger) (around func(http.Handler) http.Handler, end func() error, err error) {
	if f.Traces == "" {
		return nil, func() error { return nil }, nil
	}
	u, err := url.Parse(f.Traces)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		what := fmt.Sprintf("--traces: %q is not a URL", f.Traces)
		if strings.Contains(f.Traces, "@") { // there may be a password before it
			what = "--traces is not a URL"
		}
		return nil, nil, console.UsageError(what, "--traces http://127.0.0.1:4318/v1/traces")
	}
	if u.User != nil { // the exporter would leave it out
		return nil, nil, console.UsageError("--traces: the URL has a user", "leave it out, and set OTEL_EXPORTER_OTLP_HEADERS, such as authorization=Basic%20…, in the environment")
	}
	if !(f.TraceRatio >= 0 && f.TraceRatio <= 1) {
		return nil, nil, console.UsageError(fmt.Sprintf("--trace-ratio: %v is not from 0 to 1", f.TraceRatio), "--trace-ratio 0.1 sends a tenth")
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(f.Traces))
	if err != nil {
		return nil, nil, console.UsageError("--traces: "+err.Error(), "--traces http://127.0.0.1:4318/v1/traces")
	}
	about, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName("mtlsguardd")), resource.WithFromEnv())
	if err != nil {
		return nil, nil, err
	}
	// The ratio decides alone: a caller cannot have its requests traced by its own header.
	api.SetErrorHandler(api.ErrorHandlerFunc(logErrors(log)))
	limits := sdk.NewSpanLimits()
	if limits.AttributeValueLengthLimit < 0 { // spans that wait for the collector would hold whole paths
		limits.AttributeValueLengthLimit = maxAttribute
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithRawSpanLimits(limits), sdk.WithSampler(sdk.TraceIDRatioBased(f.TraceRatio)), sdk.WithResource(about))
	telemetry, err := guardotel.New(guardotel.Config{Names: f.TraceNames})
	if err != nil {
		return nil, nil, err
	}
	tracer := provider.Tracer("github.com/mtlsguard/mtlsguard/daemon")
	around = func(next http.Handler) http.Handler { return traced{tracer, telemetry.Handler(inject(next))} }
	return around, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), endTime)
		defer cancel()
		_ = provider.Shutdown(ctx) // a collector that is away must not make the end of the server an error
		return nil
	}, nil
}

// logErrors returns a function that logs an error of the exporter, at most one a minute.
func logErrors(log *slog.Logger) func(error) {
	var next atomic.Int64 // when the next one is logged, in seconds
	return func(err error) {
		now := time.Now().Unix()
		if due := next.Load(); now >= due && next.CompareAndSwap(due, now+60) {
			log.Warn("spans are lost", "error", escape.Printable(err.Error(), maxError))
		}
	}
}

// contexts reads and writes traceparent (W3C Trace Context).
var contexts = propagation.TraceContext{}

// traced makes the span of each request. It is a child of the caller's span.
type traced struct {
	tracer trace.Tracer
	next   http.Handler
}

func (t traced) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := contexts.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		semconv.HTTPRequestMethodKey.String(r.Method), semconv.URLScheme("https"), semconv.URLPath(printable(r.URL.Path)),
	))
	defer span.End()
	status := &statusWriter{ResponseWriter: w}
	defer func() {
		p := recover()
		if status.code != 0 {
			span.SetAttributes(attribute.Int(string(semconv.HTTPResponseStatusCodeKey), status.code))
		}
		if p != nil || status.code >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
		if p != nil {
			panic(p) // http.ErrAbortHandler aborts the answer
		}
	}()
	t.next.ServeHTTP(status, r.WithContext(ctx))
}

// inject returns next with the span of the request in its headers, for the service.
func inject(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		contexts.Inject(r.Context(), propagation.HeaderCarrier(r.Header))
		next.ServeHTTP(w, r)
	})
}

// printable returns a text without what the collector could not take.
func printable(text string) string { return strings.ToValidUTF8(text, "?") }

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	code int
}

func (w *statusWriter) WriteHeader(code int) {
	if w.code < http.StatusOK { // informational answers come before the answer
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
