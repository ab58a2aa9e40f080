package certmap

// WithPieces lets tests cut small files into pieces.
func WithPieces(size int) Option { return func(r *reader) { r.piece = size } }
