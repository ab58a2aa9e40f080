package guardgrpc

import (
	"context"

	"google.golang.org/grpc"
)

// stream is the stream of a call, as its handler sees it. Once the call has to end it passes no
// message on, in either direction.
type stream struct {
	grpc.ServerStream
	ctx  context.Context
	call *call
}

// Context returns the context with the caller's identity.
func (s *stream) Context() context.Context { return s.ctx }

// SendMsg sends a message.
func (s *stream) SendMsg(m any) error {
	if ended := s.call.endedWith(); ended != nil {
		return ended.err()
	}
	return s.ServerStream.SendMsg(m)
}

// RecvMsg receives a message.
func (s *stream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if ended := s.call.endedWith(); ended != nil {
		return ended.err()
	}
	return err
}
