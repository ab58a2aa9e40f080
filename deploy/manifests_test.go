package deploy

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	disruption "k8s.io/api/policy/v1"
	strict "sigs.k8s.io/yaml"
)

// manifests are the objects in kubernetes.
type manifests struct {
	config   core.ConfigMap
	workload apps.Deployment
	service  core.Service
	budget   disruption.PodDisruptionBudget
	network  networking.NetworkPolicy
}

// readManifests reads every file. An unknown key, a key twice and a second object of a kind
// are errors.
func readManifests(tb testing.TB) *manifests {
	tb.Helper()
	m := &manifests{}
	kinds := map[string]any{
		"ConfigMap": &m.config, "Deployment": &m.workload, "Service": &m.service,
		"PodDisruptionBudget": &m.budget, "NetworkPolicy": &m.network,
	}
	files, err := filepath.Glob("kubernetes/*.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		for text := range bytes.SplitSeq(data, []byte("\n---\n")) {
			var head struct{ Kind string }
			if err := yaml.Unmarshal(text, &head); err != nil {
				tb.Fatalf("%s: %v", name, err)
			}
			into := kinds[head.Kind]
			if into == nil {
				tb.Fatalf("%s: a second %q, or an unknown kind", name, head.Kind)
			}
			if err := strict.UnmarshalStrict(text, into); err != nil {
				tb.Errorf("%s: %v", name, err)
			}
			delete(kinds, head.Kind)
		}
	}
	if len(kinds) > 0 {
		tb.Fatalf("missing: %v", kinds)
	}
	return m
}

func (m *manifests) pod() *core.PodSpec         { return &m.workload.Spec.Template.Spec }
func (m *manifests) container() *core.Container { return &m.pod().Containers[0] }

// The manifests are of the types that they name, and select the same pods.
func TestManifestsFitTogether(t *testing.T) {
	t.Parallel()
	m := readManifests(t)
	if got := []string{m.config.APIVersion, m.workload.APIVersion, m.service.APIVersion, m.budget.APIVersion, m.network.APIVersion}; !slices.Equal(got, []string{"v1", "apps/v1", "v1", "policy/v1", "networking.k8s.io/v1"}) {
		t.Errorf("versions: %v", got)
	}
	labels := m.workload.Spec.Template.Labels
	for name, selected := range map[string]map[string]string{
		"the deployment": m.workload.Spec.Selector.MatchLabels, "the service": m.service.Spec.Selector,
		"the budget": m.budget.Spec.Selector.MatchLabels, "the network policy": m.network.Spec.PodSelector.MatchLabels,
	} {
		if len(selected) == 0 || selected["app"] != labels["app"] || len(selected) != 1 {
			t.Errorf("%s selects %v, and the pods have %v", name, selected, labels)
		}
	}
	ports := map[string]int32{}
	for _, p := range m.container().Ports {
		ports[p.Name] = p.ContainerPort
	}
	if target := m.service.Spec.Ports[0].TargetPort.StrVal; len(m.service.Spec.Ports) != 1 || target != "https" || ports[target] != 8443 {
		t.Errorf("the service leads to %v of %v", m.service.Spec.Ports, ports)
	}
	volumes := map[string]core.Volume{}
	for _, v := range m.pod().Volumes {
		volumes[v.Name] = v
	}
	for _, mount := range m.container().VolumeMounts {
		if _, ok := volumes[mount.Name]; !ok || !mount.ReadOnly || mount.SubPath != "" {
			t.Errorf("mount %s: volume %t, read-only %t, subPath %q", mount.Name, ok, mount.ReadOnly, mount.SubPath)
		}
	}
	if len(volumes) != len(m.container().VolumeMounts) || volumes["config"].ConfigMap.Name != m.config.Name {
		t.Errorf("volumes %v", volumes)
	}
	if secret := volumes["server"].Secret; secret == nil || *secret.DefaultMode != 0o440 || *m.pod().SecurityContext.FSGroup != 65532 {
		t.Error("the user of the server cannot read its key, or others can")
	}
}

// The probes have a port of their own, to which neither the service nor the network policy
// leads.
func TestManifestsKeepTheProbesApart(t *testing.T) {
	t.Parallel()
	m := readManifests(t)
	c := m.container()
	for path, probe := range map[string]*core.Probe{"/ready": c.ReadinessProbe, "/live": c.LivenessProbe} {
		if probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != "probes" || probe.HTTPGet.Scheme != "" {
			t.Errorf("%s: got %v, want port probes", path, probe.HTTPGet)
		}
	}
	if at := slices.Index(c.Args, "-probes"); at < 0 || c.Args[at+1] != ":8081" || c.Ports[1].Name != "probes" || c.Ports[1].ContainerPort != 8081 {
		t.Errorf("%v and %v", c.Args, c.Ports)
	}
	if !slices.Equal(m.network.Spec.PolicyTypes, []networking.PolicyType{"Ingress", "Egress"}) || len(m.network.Spec.Egress) != 0 || len(m.network.Spec.Ingress) != 1 {
		t.Errorf("got %v", m.network.Spec)
	}
	if in := m.network.Spec.Ingress[0]; len(in.From) != 1 || in.From[0].PodSelector == nil || len(in.Ports) != 1 || in.Ports[0].Port.StrVal != "https" {
		t.Errorf("callers reach %v from %v", in.Ports, in.From)
	}
}

// A pod that ends serves until its endpoint is removed, then drains, and is killed only after
// both: the grace period counts from the beginning of preStop.
func TestGracePeriodIsLongerThanPreStopAndDrain(t *testing.T) {
	t.Parallel()
	m := readManifests(t)
	grace := time.Duration(*m.pod().TerminationGracePeriodSeconds) * time.Second
	removal := time.Duration(m.container().Lifecycle.PreStop.Sleep.Seconds) * time.Second
	drain := m.drain(t)
	if removal < 5*time.Second || drain <= removal || grace < removal+drain+5*time.Second {
		t.Errorf("preStop %s, drain %s, terminationGracePeriodSeconds %s", removal, drain, grace)
	}
	if ready := m.container().ReadinessProbe; time.Duration(ready.PeriodSeconds*ready.FailureThreshold)*time.Second >= removal {
		t.Error("a pod that is not ready is noticed after it has stopped")
	}
}

// docs/kubernetes.md has the times of the manifests, and the lines of the example server.
func TestPageAgreesWithTheFiles(t *testing.T) {
	t.Parallel()
	m := readManifests(t)
	read := func(name string) string {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	page, server := read("../docs/kubernetes.md"), read("../examples/server/probes.go")
	for _, want := range []string{
		fmt.Sprintf("`preStop` sleeps %d s", m.container().Lifecycle.PreStop.Sleep.Seconds),
		fmt.Sprintf("`limits: {drain: %s}`", m.drain(t)),
		fmt.Sprintf("| %d s | `terminationGracePeriodSeconds`", *m.pod().TerminationGracePeriodSeconds),
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	_, snippet, _ := strings.Cut(page, "```go\n")
	snippet, _, _ = strings.Cut(snippet, "```")
	for line := range strings.Lines(snippet) {
		if !strings.Contains(server, "\t"+line) {
			t.Errorf("the example server has no line %s", line)
		}
	}
	if snippet == "" {
		t.Error("the page has no snippet")
	}
}

func (m *manifests) drain(tb testing.TB) time.Duration {
	tb.Helper()
	var file struct {
		Ports []struct{ Limits struct{ Drain time.Duration } }
	}
	if err := yaml.Unmarshal([]byte(m.config.Data["mtlsguard.yaml"]), &file); err != nil {
		tb.Fatal(err)
	}
	return file.Ports[0].Limits.Drain
}

// No pod has more rights than it needs.
func TestPodHasNoRights(t *testing.T) {
	t.Parallel()
	m := readManifests(t)
	pod, c := m.pod().SecurityContext, m.container().SecurityContext
	if !*pod.RunAsNonRoot || *pod.RunAsUser != 65532 || pod.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault ||
		*c.AllowPrivilegeEscalation || !*c.ReadOnlyRootFilesystem || !slices.Equal(c.Capabilities.Drop, []core.Capability{"ALL"}) ||
		len(c.Capabilities.Add) > 0 || *m.pod().AutomountServiceAccountToken || m.pod().HostNetwork || len(m.pod().Containers) != 1 {
		t.Errorf("%v %v", pod, c)
	}
	if m.container().Resources.Limits.Memory().IsZero() || m.container().Env[0].Name != "GOMEMLIMIT" {
		t.Error("no limit of memory")
	}
}

// mountOf returns the volume that holds a path of the container, and the rest of the path.
func (m *manifests) mountOf(tb testing.TB, name string) (volume, rest string) {
	tb.Helper()
	for _, mount := range m.container().VolumeMounts {
		if rest, ok := strings.CutPrefix(path.Clean(name), mount.MountPath+"/"); ok {
			return mount.Name, rest
		}
	}
	tb.Fatalf("%s is in no volume", name)
	return "", ""
}
