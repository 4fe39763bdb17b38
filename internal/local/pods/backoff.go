package pods

import "time"

// defaultBackoff is Kubernetes' first pause.
const defaultBackoff = 10 * time.Second

// backoff is the pause between restarts: none before the first, then one that
// doubles, from base up to 30 times base, until a program has run for 60 times
// base. With Kubernetes' ten seconds that is five and ten minutes.
type backoff struct{ base, next time.Duration }

// after returns the pause after a program that has run so long.
func (b *backoff) after(ran time.Duration) time.Duration {
	if b.base <= 0 {
		b.base = defaultBackoff
	}
	if ran >= 60*b.base {
		b.next = 0
	}
	pause := b.next
	b.next = min(max(2*b.next, b.base), 30*b.base)
	return pause
}
