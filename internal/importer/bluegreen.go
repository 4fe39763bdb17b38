package importer

import (
	"strings"

	"github.com/headgate-dev/headgate/pipeline/source"
)

// blueGreen reads the blue/green of a Rollout.
func (im *importing) blueGreen(s *stage, b *node) {
	active := b.get("activeService").text()
	if !label().MatchString(active) {
		im.lost(b, "it names no activeService; the name of the workload stands in its place")
		active = s.name
	}
	s.add("traffic: {service: %s}", quote(active))
	im.tell(b.get("activeService"), "its selector must tell blue from green, as with a label of the colour; the plan says so where it does not")
	var preview []string
	if service := b.get("previewService").text(); label().MatchString(service) {
		preview = append(preview, "service: "+quote(service))
	}
	gate := ""
	if n := b.get("prePromotionAnalysis"); n.there() {
		if gate, _ = im.analysis(n); gate != "" {
			preview = append(preview, "gate: "+quote(gate))
		}
	}
	if n := b.get("autoPromotionSeconds"); n.there() {
		if d, ok := duration(n); ok && gate != "" && d > 0 {
			preview = append(preview, "for: "+source.FormatDuration(d))
		} else {
			im.lost(n, "the switch is made as soon as the new pods are ready and preview: is content; name a gate there, with for:")
		}
	}
	if b.get("autoPromotionEnabled").text() == "false" {
		im.lost(b.get("autoPromotionEnabled"), "a run in CI does not wait for a person: the preview's gate decides, or an approval of the CI's before the job")
	}
	if len(preview) > 0 {
		s.add("preview: {%s}", strings.Join(preview, ", "))
	}
	if n := b.get("postPromotionAnalysis"); n.there() {
		if gate, d := im.analysis(n); gate != "" {
			s.add("gate: %s", quote(gate))
			s.add("bake: %s", source.FormatDuration(d))
		}
	}
	if n := b.get("scaleDownDelaySeconds"); n.there() {
		if d, ok := duration(n); ok && d > 0 {
			s.add("keepOld: %s", source.FormatDuration(d))
		}
	}
	im.each(b, true, map[string]string{
		"previewReplicaCount":        "the idle colour has the size of the active one before it gets traffic",
		"antiAffinity":               "write it into the Deployments' template",
		"activeMetadata":             "labels of the pods stay as their Deployment says",
		"previewMetadata":            "labels of the pods stay as their Deployment says",
		"abortScaleDownDelaySeconds": "the colour that failed is scaled to what it was",
		"maxUnavailable":             "it bounds restarts, which are no release",
	})
	if n := b.get("scaleDownDelayRevisionLimit"); n.there() {
		im.tell(n, "not needed: there are two colours and no more")
	}
}
