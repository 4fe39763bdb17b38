package journal

// Small makes the parts of a journal a hundredth of their size.
func Small(o KubeOptions) KubeOptions {
	o.limits = limits{tail: 320, packed: 2560, object: 9000}
	return o
}
