//go:build linux

package deploy

import (
	"bytes"
	"crypto/x509"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	strict "sigs.k8s.io/yaml"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

const serveBuild = "RUN CGO_ENABLED=0 GOWORK=off go build "

// buildServe runs the command of serve/Dockerfile that builds mtlsguard, and returns the file. The
// stages of mtlsguardd differ in names only: to build it takes minutes, and .ci/release does.
func buildServe(tb testing.TB) string {
	tb.Helper()
	data, err := os.ReadFile("serve/Dockerfile")
	if err != nil {
		tb.Fatal(err)
	}
	_, stages, _ := strings.Cut(string(data), "COPY . .\n")
	if want := serveBuild + `-trimpath -o /mtlsguard ./cmd/mtlsguard

FROM build AS build-mtlsguardd
` + serveBuild + `-C daemon -trimpath -o /mtlsguardd ./cmd/mtlsguardd

FROM scratch AS mtlsguardd
COPY --from=build-mtlsguardd /mtlsguardd /mtlsguardd
USER 65532:65532
ENTRYPOINT ["/mtlsguardd"]

FROM scratch
COPY --from=build /mtlsguard /mtlsguard
USER 65532:65532
ENTRYPOINT ["/mtlsguard", "serve"]
`; stages != want {
		tb.Fatalf("the Dockerfile is\n%swant\n%s", stages, want)
	}
	binary := filepath.Join(tb.TempDir(), "mtlsguard")
	command, _, _ := strings.Cut(strings.TrimPrefix(stages, "RUN "), "\n")
	cmd := exec.Command("sh", "-c", strings.Replace(command, "-o /mtlsguard ", "-o "+binary+" ", 1))
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// sidecar holds the objects of serve/kubernetes.yaml.
type sidecar struct {
	config, service core.ConfigMap
	workload        apps.Deployment
}

// readSidecar reads the objects. An unknown key and a key twice are errors.
func readSidecar(tb testing.TB) *sidecar {
	tb.Helper()
	data, err := os.ReadFile("serve/kubernetes.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	s := &sidecar{}
	for i, text := range bytes.Split(data, []byte("\n---\n")) {
		var head struct{ Kind string }
		if err := yaml.Unmarshal(text, &head); err != nil {
			tb.Fatal(err)
		}
		into := []any{&s.config, &s.service, &s.workload}[i]
		if want := []string{"ConfigMap", "ConfigMap", "Deployment"}[i]; head.Kind != want {
			tb.Fatalf("object %d is a %s, want %s", i, head.Kind, want)
		}
		if err := strict.UnmarshalStrict(text, into); err != nil {
			tb.Error(err)
		}
	}
	return s
}

func (s *sidecar) containers() (guard, orders *core.Container) {
	all := s.workload.Spec.Template.Spec.Containers
	return &all[0], &all[1]
}

// The pod fits the service and the network policy of kubernetes, has no right that it does not
// need, and ends in order: the service goes on for as long as mtlsguard forwards requests.
func TestSidecarFits(t *testing.T) {
	t.Parallel()
	s, m := readSidecar(t), readManifests(t)
	pod := s.workload.Spec.Template
	guard, orders := s.containers()
	if pod.Labels["app"] != m.service.Spec.Selector["app"] || s.workload.Spec.Selector.MatchLabels["app"] != pod.Labels["app"] || pod.Labels["app"] != m.network.Spec.PodSelector.MatchLabels["app"] {
		t.Errorf("labels %v, the service selects %v", pod.Labels, m.service.Spec.Selector)
	}
	if len(pod.Spec.Containers) != 2 || guard.Ports[0].Name != m.service.Spec.Ports[0].TargetPort.StrVal || len(orders.Ports) > 0 {
		t.Error("the service leads past mtlsguard")
	}
	volumes := map[string]core.Volume{}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = v
	}
	for _, c := range []*core.Container{guard, orders} {
		if x := c.SecurityContext; *x.AllowPrivilegeEscalation || !*x.ReadOnlyRootFilesystem || !slices.Equal(x.Capabilities.Drop, []core.Capability{"ALL"}) || c.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s: got %v", c.Name, x)
		}
		for _, mount := range c.VolumeMounts {
			if _, ok := volumes[mount.Name]; !ok || !mount.ReadOnly || mount.SubPath != "" {
				t.Errorf("%s: mount %s", c.Name, mount.Name)
			}
		}
	}
	if x := pod.Spec.SecurityContext; !*x.RunAsNonRoot || *x.RunAsUser != 65532 || *x.FSGroup != 65532 || *pod.Spec.AutomountServiceAccountToken {
		t.Errorf("got %v", x)
	}
	if volumes["config"].ConfigMap.Name != s.config.Name || volumes["service"].ConfigMap.Name != s.service.Name || *volumes["server"].Secret.DefaultMode != 0o440 {
		t.Errorf("volumes %v", volumes)
	}
	var file struct {
		Ports []struct{ Limits struct{ Drain time.Duration } }
	}
	if err := yaml.Unmarshal([]byte(s.config.Data["mtlsguard.yaml"]), &file); err != nil {
		t.Fatal(err)
	}
	seconds := func(c *core.Container) time.Duration {
		return time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	}
	forwards := seconds(guard) + file.Ports[0].Limits.Drain
	if grace := time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second; seconds(orders) <= forwards || grace <= seconds(orders)+5*time.Second {
		t.Errorf("mtlsguard forwards for %s, the service goes on for %s, and is killed after %s", forwards, seconds(orders), grace)
	}
	if ready := guard.ReadinessProbe.HTTPGet; ready.Path != "/ready" || ready.Port.StrVal != "probes" || guard.Ports[1].Name != "probes" || guard.Ports[1].ContainerPort != 8081 {
		t.Errorf("got %v, want /ready on port probes", ready)
	}
}

// mtlsguard of the image runs alone in an empty root, as user 65532, with the arguments, the mounts
// and the configuration of the pod, in front of the service of the pod.
func TestSidecarServesInAnEmptyRoot(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		testkit.Skip(t, "changing the root of a process needs root")
	}
	python := testkit.Program(t, "python3", "python3")
	s := readSidecar(t)
	guard, orders := s.containers()
	binary := buildServe(t)
	r := &root{TB: t, dir: t.TempDir()}
	r.must(os.Chmod(r.dir, 0o755))
	data, err := os.ReadFile(binary)
	r.must(err)
	r.must(os.WriteFile(r.path("mtlsguard"), data, 0o555))

	clients, servers := testpki.NewCA("Client CA"), testpki.NewCA("Server CA")
	billing := clients.Leaf("billing", func(c *x509.Certificate) {
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "acme", Path: "/ns/prod/sa/billing"}}
	})
	addr, probes, service := testkit.FreeAddress(t), testkit.FreeAddress(t), testkit.FreeAddress(t)
	config := map[string]string{}
	for name, text := range s.config.Data {
		config[name] = strings.NewReplacer("listen: :8443", "listen: "+addr, "127.0.0.1:8080", service).Replace(text)
	}
	own := servers.Server()
	files := map[string]map[string]string{"config": config, "server": {"tls.crt": string(own.CertPEM()), "tls.key": string(own.KeyPEM())}, "clients": {"ca.crt": string(clients.CertPEM())}}
	for _, mount := range guard.VolumeMounts {
		r.mount(mount.MountPath, "1", files[mount.Name])
	}
	arguments := append([]string{"serve"}, guard.Args...) // after ENTRYPOINT
	arguments[slices.Index(arguments, ":8081")] = probes
	cmd, out := r.start("mtlsguard", guard, arguments)

	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	testkit.Eventually(t, "not ready without the service", func() bool {
		return strings.HasPrefix(get(plain, "http://"+probes+"/ready"), "503 ")
	})

	if want := []string{"python3", orders.VolumeMounts[0].MountPath + "/service.py"}; !slices.Equal(orders.Command, want) {
		t.Fatalf("command %v, want %v", orders.Command, want)
	}
	script := filepath.Join(t.TempDir(), "service.py")
	r.must(os.WriteFile(script, []byte(strings.Replace(s.service.Data["service.py"], `"127.0.0.1", 8080`, `"127.0.0.1", `+service[strings.LastIndex(service, ":")+1:], 1)), 0o600))
	behind := exec.Command(python, script)
	behind.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r.must(behind.Start())
	defer func() { _ = behind.Process.Kill(); _ = behind.Wait() }()

	testkit.Eventually(t, "ready", func() bool { return get(plain, "http://"+probes+"/ready") == "200 OK ready\n" })
	caller := testkit.Client(t, servers.Pool(), billing, oneRequest)
	if got := get(caller, "https://"+addr+"/orders/7"); got != "200 OK /orders/7 for billing\n" {
		t.Errorf("%s\n%s", got, out)
	}
	if got := get(caller, "https://"+addr+"/healthz"); !strings.HasPrefix(got, "403 ") {
		t.Errorf("/healthz: %s", got)
	}
	r.must(cmd.Process.Signal(syscall.SIGTERM))
	if err := cmd.Wait(); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, out)
	}
}
