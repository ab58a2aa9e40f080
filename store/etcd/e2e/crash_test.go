package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
)

// dying returns an interceptor of an editor that dies at a write: before it is sent, or before its
// answer comes.
func dying(after int32, sent bool) grpc.DialOption {
	var wrote atomic.Int32
	dead := errors.New("the editor has crashed")
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		if wrote.Load() > after {
			return dead
		}
		if strings.HasSuffix(method, "/Put") || strings.HasSuffix(method, "/Txn") {
			if wrote.Add(1) > after {
				if sent {
					_ = invoke(ctx, method, req, reply, cc, options...)
				}
				return dead
			}
		}
		return invoke(ctx, method, req, reply, cc, options...)
	})
}

// An editor that dies at any write leaves a whole generation as the newest, and the next one can commit.
func TestACommitThatDiesAtAnyWriteIsThereAsAWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	for _, sent := range []bool{false, true} {
		t.Run(fmt.Sprint("sent ", sent), func(t *testing.T) {
			t.Parallel()
			e := newEngine(t)
			admin := e.store()
			parent := commit(t, admin, next(t, nil, 300<<10))
			writes := 0
			for after := int32(0); ; after++ {
				editor := e.store(dying(after, sent))
				g := next(t, parent, 600<<10, 300<<10) // 3 + 2 parts, 2 small files, the transaction
				err := editor.Commit(t.Context(), g)
				newest, loadErr := admin.Load(t.Context(), nil)
				if loadErr != nil {
					t.Fatal(loadErr)
				}
				if err == nil {
					if !newest.Same(g) {
						t.Error("the commit succeeded, and is not the newest")
					}
					break
				}
				writes++
				if last := sent && after == 7; !newest.Same(parent) && !(last && newest.Same(g)) {
					t.Fatalf("after %d writes (%v) the newest is generation %d", after, err, newest.Manifest.Number)
				}
				if _, err := newest.Fetch(t.Context()); err != nil {
					t.Fatalf("after %d writes: %v", after, err)
				}
				if all, err := admin.History(t.Context(), 0, 100); err != nil || len(all) != int(newest.Manifest.Number) {
					t.Errorf("after %d writes the history is %v, %v", after, all, err)
				}
				parent = commit(t, admin, next(t, newest, 600<<10, 300<<10))
			}
			if writes != 8 {
				t.Errorf("there were %d writes, want 8: is each of them tested?", writes)
			}
		})
	}
}

func TestALoadNeverMixesGenerations(t *testing.T) {
	t.Parallel()
	storetest.LoadNeverMixesGenerations(t, newEngine(t).forTests())
}
