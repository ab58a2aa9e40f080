package ports

import "testing"

// deep stands for a handler.
//
//go:noinline
func deep(n int) int {
	var room [64]byte
	if n == 0 {
		return int(room[0])
	}
	return deep(n-1) + int(room[n])
}

//go:noinline
func shallow(n int, grow bool) int {
	if grow {
		growStack(false)
	}
	return deep(n)
}

// BenchmarkStack measures a new goroutine whose stack grows when it is deep, and when it begins.
func BenchmarkStack(b *testing.B) {
	for name, grow := range map[string]bool{"deep": false, "at once": true} {
		b.Run(name, func(b *testing.B) {
			done := make(chan int)
			for b.Loop() {
				go func() { done <- shallow(15, grow) }()
				<-done
			}
		})
	}
}
