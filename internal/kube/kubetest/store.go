package kubetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// serve answers all but watches. The caller holds the lock.
func (s *Server) serve(r *http.Request, q request) (int, any) {
	if q.resource == "selfsubjectaccessreviews" {
		return s.review(q)
	}
	verb := map[string]string{http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete"}[r.Method]
	if verb == "get" && q.name == "" {
		verb = "list"
	}
	if s.Denied != nil && s.Denied(verb, q.resource) {
		return refuse(http.StatusForbidden, metav1.StatusReasonForbidden, q.resource+" is forbidden: the account cannot "+verb+" it")
	}
	k := key(q.resource, q.namespace, q.name)
	now := s.objects[k]
	if q.name != "" && now == nil && verb != "patch" {
		return refuse(http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s %q not found", q.resource, q.name))
	}
	switch verb {
	case "get":
		return http.StatusOK, now.Object
	case "list":
		return s.list(q)
	case "delete":
		return s.remove(k, now, q)
	}
	var u unstructured.Unstructured
	if err := json.Unmarshal(q.body, &u.Object); err != nil {
		return refuse(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
	}
	u.Object, _ = wholes(u.Object).(map[string]any)
	u.SetNamespace(q.namespace)
	k = key(q.resource, q.namespace, cmp.Or(q.name, u.GetName()))
	switch {
	case verb == "create" && s.objects[k] != nil:
		return refuse(http.StatusConflict, metav1.StatusReasonAlreadyExists, q.resource+" "+u.GetName()+" already exists")
	case verb == "update" && u.GetResourceVersion() != "" && u.GetResourceVersion() != now.GetResourceVersion():
		return refuse(http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
	case verb == "patch" && now != nil:
		if refusal := conflicts(r, q, now, &u); refusal != nil {
			return http.StatusConflict, refusal
		}
		merged := now.DeepCopy()
		merge(merged.Object, u.Object)
		u = *merged
	}
	if now != nil && q.resource == "deployments" && !reflect.DeepEqual(field(now, "spec", "selector"), field(&u, "spec", "selector")) {
		return refuse(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "spec.selector: Invalid value: field is immutable")
	}
	if now != nil {
		u.Object["status"] = now.Object["status"] // A subresource of its own.
		if u.Object["status"] == nil {
			delete(u.Object, "status")
		}
	}
	if q.dryRun {
		return http.StatusOK, s.dressed(k, &u).Object
	}
	s.writes = append(s.writes, verb+" "+q.resource+"/"+u.GetName())
	return http.StatusOK, s.store(k, &u).Object
}

func refuse(code int, reason metav1.StatusReason, message string) (int, any) {
	return code, status(code, reason, message)
}

// review answers whether something is allowed.
func (s *Server) review(q request) (int, any) {
	var obj map[string]any
	if err := json.Unmarshal(q.body, &obj); err != nil {
		return refuse(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
	}
	u := unstructured.Unstructured{Object: obj}
	ask := func(f string) string { return nested(&u, "spec", "resourceAttributes", f) }
	allowed := s.Denied == nil || !s.Denied(ask("verb"), strings.Trim(ask("resource")+"/"+ask("subresource"), "/"))
	u.Object["status"] = map[string]any{"allowed": allowed}
	return http.StatusCreated, u.Object
}

func (s *Server) list(q request) (int, any) {
	items := []any{}
	for _, k := range s.sorted() {
		if u := s.objects[k]; q.selects(k, u) {
			items = append(items, u.Object)
		}
	}
	gv := strings.TrimPrefix(q.group+"/"+q.version, "/")
	return http.StatusOK, map[string]any{
		"kind": "List", "apiVersion": gv, "items": items,
		"metadata": map[string]any{"resourceVersion": strconv.Itoa(s.version)},
	}
}

func (s *Server) sorted() []string {
	var ks []string
	for k := range s.objects {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}

// remove deletes at once, or, in the foreground, marks for deletion.
func (s *Server) remove(k string, u *unstructured.Unstructured, q request) (int, any) {
	var opts metav1.DeleteOptions
	if len(q.body) > 0 {
		if err := json.Unmarshal(q.body, &opts); err != nil {
			return refuse(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		}
	}
	if p := opts.Preconditions; p != nil && p.UID != nil && *p.UID != u.GetUID() {
		return refuse(http.StatusConflict, metav1.StatusReasonConflict, "the UID in the precondition does not match")
	}
	s.writes = append(s.writes, "delete "+q.resource+"/"+q.name)
	if q.resource == "deployments" && opts.PropagationPolicy != nil && *opts.PropagationPolicy == metav1.DeletePropagationForeground {
		u = u.DeepCopy()
		now := metav1.NewTime(time.Now())
		u.SetDeletionTimestamp(&now)
		return http.StatusOK, s.store(k, u).Object
	}
	s.drop(k)
	return http.StatusOK, u.Object
}

// dressed returns an object as it would be stored: identity, generation and
// the defaults that the tests need.
func (s *Server) dressed(k string, u *unstructured.Unstructured) *unstructured.Unstructured {
	u = u.DeepCopy()
	now := s.objects[k]
	if now == nil {
		if u.GetUID() == "" {
			u.SetUID(types.UID(fmt.Sprintf("uid-%d", s.version+1)))
		}
		u.SetGeneration(1)
		u.SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second)))
	} else {
		u.SetUID(now.GetUID())
		u.SetCreationTimestamp(now.GetCreationTimestamp())
		u.SetGeneration(now.GetGeneration())
	}
	if u.GetKind() == "Deployment" && field(u, "spec", "replicas") == nil {
		_ = unstructured.SetNestedField(u.Object, int64(1), "spec", "replicas")
	}
	if u.GetKind() == "Deployment" && field(u, "spec", "progressDeadlineSeconds") == nil {
		_ = unstructured.SetNestedField(u.Object, int64(600), "spec", "progressDeadlineSeconds")
	}
	if u.GetKind() == "Service" && field(u, "spec", "clusterIP") == nil {
		_ = unstructured.SetNestedField(u.Object, fmt.Sprintf("10.0.0.%d", s.version%250+1), "spec", "clusterIP")
	}
	if now != nil && !reflect.DeepEqual(now.Object["spec"], u.Object["spec"]) {
		u.SetGeneration(now.GetGeneration() + 1)
	}
	return u
}

// store keeps an object and tells the watchers; a write that changes nothing
// is none.
func (s *Server) store(k string, u *unstructured.Unstructured) *unstructured.Unstructured {
	now := s.objects[k]
	u = s.dressed(k, u)
	if now != nil {
		u.SetResourceVersion(now.GetResourceVersion())
		if reflect.DeepEqual(now.Object, u.Object) {
			return now.DeepCopy()
		}
	}
	s.version++
	u.SetResourceVersion(strconv.Itoa(s.version))
	s.objects[k] = u
	kind := "MODIFIED"
	if now == nil {
		kind = "ADDED"
	}
	s.tell(kind, k, u)
	return u.DeepCopy()
}

func (s *Server) drop(k string) {
	u := s.objects[k]
	if u == nil {
		return
	}
	delete(s.objects, k)
	s.version++
	gone := u.DeepCopy()
	gone.SetResourceVersion(strconv.Itoa(s.version))
	s.dropped = append(s.dropped, dropped{k, gone})
	s.tell("DELETED", k, gone)
}

func (s *Server) tell(kind, k string, u *unstructured.Unstructured) {
	for _, w := range s.watchers {
		if w.q.selects(k, u) {
			w.send(kind, u)
		}
	}
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

func field(u *unstructured.Unstructured, path ...string) any {
	v, _, _ := unstructured.NestedFieldNoCopy(u.Object, path...)
	return v
}

// merge is a JSON merge patch, which is what server-side apply comes to where
// nobody gives fields up.
func merge(into, from map[string]any) {
	for k, v := range from {
		a, ok := into[k].(map[string]any)
		b, ok2 := v.(map[string]any)
		if ok && ok2 {
			merge(a, b)
			continue
		}
		into[k] = v
	}
}

// wholes turns whole numbers into int64, as the client has them.
func wholes(v any) any {
	switch v := v.(type) {
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	case map[string]any:
		for k := range v {
			v[k] = wholes(v[k])
		}
	case []any:
		for i := range v {
			v[i] = wholes(v[i])
		}
	}
	return v
}
