package metrics

import (
	jsoniter "github.com/json-iterator/go"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/jsonutil"
)

// encode writes the value of a query as Prometheus' API does.
func encode(v parser.Value) []byte {
	s := jsoniter.NewStream(jsoniter.ConfigCompatibleWithStandardLibrary, nil, 4096)
	s.WriteObjectStart()
	s.WriteObjectField("resultType")
	s.WriteString(string(v.Type()))
	s.WriteMore()
	s.WriteObjectField("result")
	switch v := v.(type) {
	case promql.Vector:
		list(s, v, sample)
	case promql.Matrix:
		list(s, v, series)
	case promql.Scalar:
		point(s, v.T, func() { jsonutil.MarshalFloat(v.V, s) })
	case promql.String:
		point(s, v.T, func() { s.WriteString(v.V) })
	default:
		panic("metrics: a query has a value of no known type")
	}
	s.WriteObjectEnd()
	return s.Buffer()
}

func list[T any](s *jsoniter.Stream, all []T, write func(*jsoniter.Stream, T)) {
	s.WriteArrayStart()
	for i, x := range all {
		if i > 0 {
			s.WriteMore()
		}
		write(s, x)
	}
	s.WriteArrayEnd()
}

// point writes [seconds, value].
func point(s *jsoniter.Stream, t int64, value func()) {
	s.WriteArrayStart()
	jsonutil.MarshalTimestamp(t, s)
	s.WriteMore()
	value()
	s.WriteArrayEnd()
}

func float(s *jsoniter.Stream, p promql.FPoint) {
	point(s, p.T, func() { jsonutil.MarshalFloat(p.F, s) })
}

func histogram(s *jsoniter.Stream, p promql.HPoint) {
	point(s, p.T, func() { jsonutil.MarshalHistogram(p.H, s) })
}

func metric(s *jsoniter.Stream, l labels.Labels) {
	s.WriteObjectStart()
	s.WriteObjectField("metric")
	s.WriteObjectStart()
	first := true
	l.Range(func(l labels.Label) {
		if !first {
			s.WriteMore()
		}
		first = false
		s.WriteObjectField(l.Name)
		s.WriteString(l.Value)
	})
	s.WriteObjectEnd()
}

func sample(s *jsoniter.Stream, v promql.Sample) {
	metric(s, v.Metric)
	s.WriteMore()
	if v.H == nil {
		s.WriteObjectField("value")
		float(s, promql.FPoint{T: v.T, F: v.F})
	} else {
		s.WriteObjectField("histogram")
		histogram(s, promql.HPoint{T: v.T, H: v.H})
	}
	s.WriteObjectEnd()
}

func series(s *jsoniter.Stream, v promql.Series) {
	metric(s, v.Metric)
	if len(v.Floats) > 0 {
		s.WriteMore()
		s.WriteObjectField("values")
		list(s, v.Floats, float)
	}
	if len(v.Histograms) > 0 {
		s.WriteMore()
		s.WriteObjectField("histograms")
		list(s, v.Histograms, histogram)
	}
	s.WriteObjectEnd()
}
