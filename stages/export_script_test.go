package stages

// For the tests of this package alone.
var (
	ParseOutputs = parseOutputs
	OutputName   = outputName
)

// ParseJUnit reads one JUnit file.
func ParseJUnit(data []byte) (failed []FailedTest, tests int, err error) {
	var s TestSummary
	err = s.addData("fuzz", data)
	return s.Failed, s.Tests, err
}
