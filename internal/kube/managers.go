package kube

import (
	"bytes"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// LastManager returns who, other than Headgate, last wrote an object's
// specification or data, "" where the object does not say.
func LastManager(u *unstructured.Unstructured) string {
	var last *metav1.ManagedFieldsEntry
	entries := u.GetManagedFields()
	for i, e := range entries {
		if e.Manager == Manager || e.Subresource == "status" || e.FieldsV1 == nil || !says(e.FieldsV1.GetRawBytes()) {
			continue
		}
		if last == nil || e.Time != nil && (last.Time == nil || !e.Time.Before(last.Time)) {
			last = &entries[i]
		}
	}
	if last == nil {
		return ""
	}
	return last.Manager
}

// says reports whether a manager's fields are among what an object is for.
func says(fields []byte) bool {
	for _, f := range []string{`"f:spec"`, `"f:data"`, `"f:binaryData"`} {
		if bytes.Contains(fields, []byte(f)) {
			return true
		}
	}
	return false
}
