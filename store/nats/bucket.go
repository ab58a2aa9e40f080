package natsstore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mtlsguard/mtlsguard/source"
)

const (
	partSize   = 256 << 10 // bytes of a part of a file; a message has at most 1 MiB
	reportSize = 64 << 10  // bytes of the report of a node
	reportTTL  = 7 * 24 * time.Hour
	headKey    = "head"
)

// The names of the buckets have no common prefix up to the underscore: otherwise the buckets of one
// fleet could be those of another one.
func (s *Store) manifests() string { return "mtlsguard_" + s.config.Fleet }
func (s *Store) blobs() string     { return "mtlsguard-blobs_" + s.config.Fleet }
func (s *Store) nodes() string     { return "mtlsguard-nodes_" + s.config.Fleet }

// headSubject is where the server publishes that head has changed.
func (s *Store) headSubject() string { return "mtlsguard." + s.config.Fleet + ".head" }

// bucket returns a bucket. The error wraps jetstream.ErrBucketNotFound if it does not exist.
func (s *Store) bucket(ctx context.Context, name string) (jetstream.KeyValue, error) {
	s.mu.Lock()
	kv := s.buckets[name]
	s.mu.Unlock()
	if kv != nil {
		return kv, nil
	}
	ctx, cancel, err := s.request(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	kv, err = s.js.KeyValue(ctx, name)
	if err != nil {
		return nil, s.explain(ctx, "find the bucket "+name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buckets[name] = kv
	return kv, nil
}

// forget looks for a bucket again after an error that can mean that it was deleted.
func (s *Store) forget(name string, err error) {
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.buckets, name)
	}
}

// create returns a bucket, and creates it if it does not exist.
func (s *Store) create(ctx context.Context, name string) (jetstream.KeyValue, error) {
	kv, err := s.bucket(ctx, name)
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, err
	}
	request, cancel, err := s.request(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if _, err := s.js.CreateStream(request, s.stream(name)); err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil, s.explain(request, "create the bucket "+name, err)
	}
	return s.bucket(ctx, name)
}

// stream describes the stream of a bucket.
func (s *Store) stream(name string) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:              "KV_" + name,
		Subjects:          []string{"$KV." + name + ".>"},
		Storage:           jetstream.FileStorage,
		Replicas:          s.config.Replicas,
		MaxMsgsPerSubject: 1,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxConsumers:      -1,
		Discard:           jetstream.DiscardNew,
		AllowRollup:       true,
	}
	switch name {
	case s.manifests():
		c.Description = "mtlsguard: manifests of the fleet " + s.config.Fleet
		c.MaxMsgSize = source.MaxEnvelope
		// Only the leader of the stream answers: another replica could answer with an older head.
		c.AllowDirect = false
		c.RePublish = &jetstream.RePublish{Source: "$KV." + name + "." + headKey, Destination: s.headSubject(), HeadersOnly: true}
	case s.blobs():
		c.Description = "mtlsguard: files of the fleet " + s.config.Fleet
		c.MaxMsgSize = partSize + 1<<10
		c.AllowDirect = true
	case s.nodes():
		c.Description = "mtlsguard: reports of the nodes of the fleet " + s.config.Fleet
		c.MaxMsgSize = reportSize + 1<<10
		c.MaxAge = reportTTL
		c.MaxBytes = 64 << 20 // the server reserves it
	}
	return c
}

// get returns the entry of a key. The error is jetstream.ErrKeyNotFound if it does not exist.
func (s *Store) get(ctx context.Context, bucket, key string) (jetstream.KeyValueEntry, error) {
	kv, err := s.bucket(ctx, bucket)
	if err != nil {
		return nil, err
	}
	ctx, cancel, err := s.request(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	e, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, jetstream.ErrKeyNotFound
	}
	s.forget(bucket, err)
	return e, s.explain(ctx, "read "+key+" of the bucket "+bucket, err)
}

// put writes a key.
func (s *Store) put(ctx context.Context, kv jetstream.KeyValue, key string, value []byte) error {
	ctx, cancel, err := s.request(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	_, err = kv.Put(ctx, key, value)
	s.forget(kv.Bucket(), err)
	return s.explain(ctx, "write "+key+" of the bucket "+kv.Bucket(), err)
}

// maxKeys bounds how many keys of a bucket are listed: 256 GiB of parts.
const maxKeys = 1 << 20

// list calls each with every key of a bucket.
func (s *Store) list(ctx context.Context, bucket string, each func(jetstream.KeyValueEntry) error, options ...jetstream.WatchOpt) error {
	kv, err := s.bucket(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 12*timeout)
	defer cancel()
	w, err := kv.WatchAll(ctx, append(options, jetstream.IgnoreDeletes())...)
	if err != nil {
		return s.explain(ctx, "list the bucket "+bucket, err)
	}
	defer w.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return s.explain(ctx, "list the bucket "+bucket, ctx.Err())
		case e, open := <-w.Updates():
			switch {
			case !open:
				return fmt.Errorf("list the bucket %s: the connection was lost", bucket)
			case e == nil:
				return nil // all that were there
			case n == maxKeys:
				return fmt.Errorf("the bucket %s has more than %d keys", bucket, maxKeys)
			}
			if err := each(e); err != nil {
				return err
			}
		}
	}
}

// redact returns a list of URLs without passwords and tokens.
func redact(list string) string {
	var out []string
	for one := range strings.SplitSeq(list, ",") {
		if u, err := url.Parse(strings.TrimSpace(one)); err != nil {
			one = "a URL that cannot be parsed"
		} else if u.User != nil {
			u.User = url.User("xxxxx")
			one = u.String()
		}
		out = append(out, one)
	}
	return strings.Join(out, ",")
}
