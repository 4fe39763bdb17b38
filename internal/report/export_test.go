package report

import (
	"strings"
	"time"
)

// Frame draws what a view that has handled events shows at a moment after the
// last of them.
func (l *Live) Frame(width, height int, after time.Duration) string {
	v := l.still(size{width, height}, after)
	return strings.Join(v.frame(), "\n") + "\n"
}

// Final is what stays on a screen of some width.
func (l *Live) Final(width int) string {
	v := l.still(size{width, 1 << 20}, 0)
	return strings.Join(v.final(), "\n") + "\n"
}

func (l *Live) still(s size, after time.Duration) *view {
	v := l.view(s)
	v.now = l.a.ended.Add(after)
	return v
}
