package source

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time that is not negative, written with units: 30s,
// 10m, 1h30m.
type Duration struct {
	Value time.Duration
	Pos   Pos
}

// IsSet reports whether the file set it, or a default other than 0.
func (d Duration) IsSet() bool { return d.Pos.IsValid() || d.Value != 0 }

// String returns the duration as people write it; see [FormatDuration].
func (d Duration) String() string { return FormatDuration(d.Value) }

// FormatDuration writes a duration without units that are empty: 10m and 1h,
// not 10m0s and 1h0m0s.
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

const durationPattern = `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`

var (
	durationForm = pattern(durationPattern)
	wordyTime    = pattern(`^([0-9]+(?:\.[0-9]+)?) ?([a-z]+)$`)
)

// UnmarshalScalar implements [Scalar].
func (d *Duration) UnmarshalScalar(text string) error {
	if !durationForm().MatchString(text) {
		return durationMistake(text)
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is too long a time", short(text))
	}
	d.Value = v
	return nil
}

// durationMistake finds out what was meant.
func durationMistake(text string) error {
	if floating().MatchString(text) {
		n := strings.TrimLeft(text, "+-")
		if text[0] == '-' {
			return mistake(fmt.Sprintf("a duration cannot be negative: %s", short(text)), "write "+n+"s")
		}
		return mistake(fmt.Sprintf("a duration needs a unit, found %s alone", short(text)),
			fmt.Sprintf("write %ss for seconds or %sm for minutes", n, n))
	}
	if strings.HasPrefix(text, "-") {
		return mistake(fmt.Sprintf("a duration cannot be negative: %s", short(text)), "")
	}
	if m := wordyTime().FindStringSubmatch(strings.ToLower(text)); m != nil {
		unit := ""
		switch m[2] {
		case "sec", "secs", "second", "seconds", "s":
			unit = "s"
		case "min", "mins", "minute", "minutes", "m":
			unit = "m"
		case "hr", "hrs", "hour", "hours", "h":
			unit = "h"
		case "msec", "millis", "milliseconds", "ms":
			unit = "ms"
		case "d", "day", "days":
			if n, err := strconv.Atoi(m[1]); err == nil && n < 100000 {
				return mistake(fmt.Sprintf("%q is no duration: there is no unit for days", short(text)), fmt.Sprintf("write %dh", 24*n))
			}
		}
		if unit != "" {
			return mistake(fmt.Sprintf("%q is no duration", short(text)), "write "+m[1]+unit)
		}
	}
	return mistake(fmt.Sprintf("%q is no duration", short(text)), "expected a duration such as 30s, 10m or 1h30m")
}

// Expectation implements [Scalar].
func (d *Duration) Expectation() string { return "a duration such as 30s, 10m or 1h30m" }

// Schema implements [Scalar].
func (d *Duration) Schema() map[string]any {
	return map[string]any{"type": "string", "pattern": durationPattern}
}

func (d *Duration) number() float64 { return d.Value.Seconds() }

// Percent is a share written with its sign: 5%, 0.5%. Its Value is what stands
// before the sign, from 0 to 100; a max tag can allow more.
type Percent struct {
	Value float64
	Pos   Pos
}

// IsSet reports whether the file set it, or a default other than 0.
func (p Percent) IsSet() bool { return p.Pos.IsValid() || p.Value != 0 }

// Share returns the value as a fraction: 0.05 for 5%.
func (p Percent) Share() float64 { return p.Value / 100 }

// String returns the percentage with its sign.
func (p Percent) String() string { return strconv.FormatFloat(p.Value, 'f', -1, 64) + "%" }

const percentPattern = `^[0-9]+(\.[0-9]+)?%$`

var percentForm = pattern(percentPattern)

// UnmarshalScalar implements [Scalar].
func (p *Percent) UnmarshalScalar(text string) error {
	if !percentForm().MatchString(text) {
		switch {
		case strings.HasPrefix(text, "-"):
			return fmt.Errorf("a percentage cannot be negative: %s", short(text))
		case floating().MatchString(text):
			return mistake(fmt.Sprintf("a percentage needs its sign, found %s alone", short(text)), percentHint(text))
		}
		return mistake(fmt.Sprintf("%q is no percentage", short(text)), "expected a percentage such as 5% or 0.5%")
	}
	v, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil {
		return fmt.Errorf("%s is too large", short(text))
	}
	p.Value = v
	return nil
}

// percentHint says what a bare number may have meant.
func percentHint(text string) string {
	v, err := strconv.ParseFloat(text, 64)
	if err == nil && v > 0 && v < 1 {
		return fmt.Sprintf("write %s%% for so many of a hundred, or %s%% if a share of 1 was meant",
			text, strconv.FormatFloat(v*100, 'g', 6, 64))
	}
	return "write " + text + "%"
}

// Expectation implements [Scalar].
func (p *Percent) Expectation() string { return "a percentage such as 5% or 0.5%" }

// Schema implements [Scalar].
func (p *Percent) Schema() map[string]any {
	return map[string]any{"type": "string", "pattern": percentPattern}
}

func (p *Percent) number() float64     { return p.Value }
func (p *Percent) defaultMax() float64 { return 100 }
