package engineapi

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func factsOf(method, path, body string) (facts []string, unread string) {
	c := Read(method, path, "")
	c.ReadBody([]byte(body))
	for _, f := range c.Facts {
		facts = append(facts, f.String())
	}
	return facts, c.Unread
}

func TestContainerFacts(t *testing.T) {
	rows := []struct{ name, hostConfig, want string }{ // want: facts, separated by |
		{"nothing", `{}`, ""},
		{"docker-py's zero values", `{"Privileged":false,"Binds":null,"CapAdd":[],"NetworkMode":"default","PidMode":"","OomKillDisable":false}`, ""},
		{"privileged", `{"Privileged":true}`, "host.privileged"},
		{"bind", `{"Binds":["/:/host-drive"]}`, "host.mount /:/host-drive rw"},
		{"bind, read-only", `{"Binds":["/srv:/srv:z,ro"]}`, "host.mount /srv:/srv ro"},
		{"bind of the socket", `{"Binds":["/var/run/docker.sock:/s"]}`, "host.mount /var/run/docker.sock:/s rw"},
		{"named volume", `{"Binds":["data:/data"]}`, "volume.use data:/data rw"},
		{"anonymous volume", `{"Binds":["/data"]}`, ""},
		{"relative source", `{"Binds":["../x:/x"]}`, "host.mount ../x:/x rw"},
		{"mount of type bind", `{"Mounts":[{"Type":"bind","Source":"/etc","Target":"/h","ReadOnly":true,"BindOptions":{"Propagation":"rshared"}}]}`,
			"host.mount /etc:/h ro|host.propagation rshared"},
		{"mount of a volume", `{"Mounts":[{"Type":"volume","Source":"data","Target":"/data"}]}`, "volume.use data:/data rw"},
		{"bind in disguise", `{"Mounts":[{"Type":"volume","Target":"/h","VolumeOptions":{"DriverConfig":{"Options":{"type":"none","o":"bind","device":"/"}}}}]}`,
			"host.mount /:/h rw"},
		{"bind in disguise, among options", `{"Mounts":[{"Target":"/h","VolumeOptions":{"DriverConfig":{"Options":{"o":"ro,rbind","device":"/"}}}}]}`,
			"host.mount /:/h rw"},
		{"a disk", `{"Mounts":[{"Type":"volume","Target":"/h","VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"type":"ext4","device":"/dev/vda1"}}}}]}`,
			"volume.device ext4 /dev/vda1"},
		{"another driver", `{"Mounts":[{"Type":"volume","Source":"d","Target":"/d","VolumeOptions":{"DriverConfig":{"Name":"rexray"}}}]}`,
			"volume.use d:/d rw|volume.driver rexray"},
		{"image mount", `{"Mounts":[{"Type":"image","Source":"red/app","Target":"/i"}]}`, "image.use red/app"},
		{"tmpfs", `{"Mounts":[{"Type":"tmpfs","Target":"/t"}]}`, ""},
		{"an unknown type of mount", `{"Mounts":[{"Type":"cluster","Source":"c","Target":"/c"}]}`, "volume.use c:/c rw"},
		{"host namespaces", `{"NetworkMode":"host","PidMode":"host","IpcMode":"host","UTSMode":"host","UsernsMode":"host","CgroupnsMode":"host"}`,
			"host.network|host.pid|host.ipc|host.uts|host.userns|host.cgroupns"},
		{"another's namespaces", `{"NetworkMode":"container:victim","PidMode":"container:victim","IpcMode":"container:victim","Cgroup":"container:victim"}`,
			"container.namespace network of victim|container.namespace pid of victim|container.namespace ipc of victim|container.namespace cgroup of victim"},
		{"own network", `{"NetworkMode":"backend"}`, "network.use backend"},
		{"capabilities in every spelling", `{"CapAdd":["cap_net_admin","SYS_ADMIN","ALL"]}`,
			"kernel.capability NET_ADMIN|kernel.capability SYS_ADMIN|kernel.capability ALL"},
		{"dropped capabilities", `{"CapDrop":["ALL"]}`, ""},
		{"security options", `{"SecurityOpt":["apparmor=unconfined","label=disable","no-new-privileges"]}`,
			"security.option apparmor=unconfined|security.option label=disable|security.option no-new-privileges"},
		{"seccomp profile", `{"SecurityOpt":["seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}"]}`, "security.option seccomp=(a profile)"},
		{"unmasked paths", `{"MaskedPaths":[],"ReadonlyPaths":[]}`, "security.masked-paths|security.readonly-paths"},
		{"null paths", `{"MaskedPaths":null,"ReadonlyPaths":null}`, ""},
		{"devices", `{"Devices":[{"PathOnHost":"/dev/sda","PathInContainer":"/dev/x","CgroupPermissions":"rwm"}],"DeviceCgroupRules":["b 8:* rwm"]}`,
			"device.use /dev/sda:/dev/x rwm|device.cgroup-rule b 8:* rwm"},
		{"gpu", `{"DeviceRequests":[{"Driver":"nvidia","Count":-1,"DeviceIDs":["a","b"],"Capabilities":[["gpu","utility"]]}]}`,
			"device.request driver=nvidia count=-1 ids=a,b capabilities=gpu+utility"},
		{"ports", `{"PortBindings":{"443/tcp":[{"HostPort":""}],"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"},{"HostIp":"","HostPort":"81"}],"53/udp":[{"HostPort":"53"}]}}`,
			"port.publish 53/udp|port.publish 127.0.0.1:8080/tcp|port.publish 81/tcp|port.publish 0/tcp"},
		{"all ports", `{"PublishAllPorts":true}`, "port.publish all"},
		{"others' volumes and links", `{"VolumesFrom":["victim:ro"],"Links":["victim:db"]}`, "container.volumes victim:ro|container.link victim:db"},
		{"sysctls, sorted", `{"Sysctls":{"net.b":"2","net.a":"1"}}`, "kernel.sysctl net.a=1|kernel.sysctl net.b=2"},
		{"limits", `{"Memory":1024,"NanoCpus":5,"PidsLimit":-1}`, "resource.memory 1024|resource.nanocpus 5|resource.pids -1"},
		{"the rest of the host", `{"Runtime":"evil","GroupAdd":["docker"],"CgroupParent":"/x","OomScoreAdj":-900,"OomKillDisable":true}`,
			"group.add docker|host.runtime evil|host.oom-score -900|host.cgroup-parent /x|host.oom-kill-disable"},
		{"log driver keeps its token", `{"LogConfig":{"Type":"splunk","Config":{"splunk-token":"s3cret"}}}`, "log.driver splunk"},
		{"default log driver", `{"LogConfig":{"Type":"json-file"}}`, ""},
		{"volume driver", `{"VolumeDriver":"evil"}`, "volume.driver evil"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			facts, unread := factsOf("POST", "/v1.45/containers/create", `{"HostConfig":`+row.hostConfig+`}`)
			if got := strings.Join(facts, "|"); got != row.want || unread != "" {
				t.Errorf("facts = %s, unread %q\nwant    %s", got, unread, row.want)
			}
		})
	}
}

func TestOtherFacts(t *testing.T) {
	const service = `{"Name":"web","TaskTemplate":{"Runtime":"plugin","ContainerSpec":{"Image":"app","Env":["A=s3cret"],
		"Mounts":[{"Type":"bind","Source":"/","Target":"/h"}],"CapabilityAdd":["CAP_SYS_ADMIN"],"StopGracePeriod":1000000000,
		"Secrets":[{"SecretName":"key","SecretID":"1"}],"Configs":[{"ConfigName":"conf","ConfigID":"2"}],
		"Privileges":{"Seccomp":{"Mode":"unconfined"},"AppArmor":{"Mode":"disabled"},"SELinuxContext":{"Disable":true}}},
		"Networks":[{"Target":"host"},{"Target":"backend"}],"PluginSpec":{"remote":"evil/plugin"}},
		"EndpointSpec":{"Ports":[{"Protocol":"tcp","TargetPort":80,"PublishedPort":8080}]}}`
	const serviceFacts = "service.name web|service.runtime plugin|image.use app|host.mount /:/h rw|kernel.capability SYS_ADMIN|" +
		"security.option seccomp=unconfined|security.option apparmor=disabled|security.option label=disable|secret.use key|config.use conf|" +
		"plugin.use evil/plugin|host.network|network.use backend|port.publish 8080/tcp"
	rows := []struct{ name, path, body, want string }{
		{"create", "/containers/create", `{"Image":"nginx","Env":["TOKEN=s3cret"],"Cmd":["s3cret"],"Labels":{"a":"s3cret"},
			"Healthcheck":{"Interval":1000000000},"NetworkingConfig":{"EndpointsConfig":{"b":{},"a":null}}}`, "image.use nginx|network.use a|network.use b"},
		{"exec", "/containers/web/exec", `{"Cmd":["sh","-c","s3cret"],"Env":["A=s3cret"],"Privileged":true,"User":"root"}`, "exec.privileged|exec.user root"},
		{"exec of docker-py", "/containers/web/exec", `{"Container":"web","User":"","Privileged":false,"Cmd":["ls"],"Env":null}`, ""},
		{"exec of the docker command", "/containers/web/exec", `{"User":"","Privileged":false,"Detach":false,"DetachKeys":"","Cmd":["ls"]}`, ""},
		{"the default network", "/containers/create", `{"HostConfig":{"NetworkMode":"default"},"NetworkingConfig":{"EndpointsConfig":{"default":{"MacAddress":"","Gateway":""}}}}`, ""},
		{"update", "/containers/web/update", `{"Memory":0,"PidsLimit":0,"Devices":[{"PathOnHost":"/dev/sda"}],"RestartPolicy":{"Name":"always"}}`,
			"device.use /dev/sda: |container.restart-policy always"},
		{"service", "/services/create", service, serviceFacts},
		{"service update", "/services/web/update", service, serviceFacts},
		{"volume", "/volumes/create", `{"Name":"v","Driver":"local","DriverOpts":{"type":"none","o":"bind","device":"/"}}`, "volume.name v|host.mount /: rw"},
		{"cifs keeps its password", "/volumes/create", `{"DriverOpts":{"type":"cifs","o":"username=u,password=s3cret","device":"//nas/x"}}`,
			"volume.device cifs //nas/x"},
		{"tmpfs volume", "/volumes/create", `{"DriverOpts":{"type":"tmpfs","device":"tmpfs"}}`, ""},
		{"no facts", "/networks/create", `{"Name":"x"}`, ""},
		{"no body", "/containers/create", ``, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			facts, unread := factsOf("POST", row.path, row.body)
			if got := strings.Join(facts, "|"); got != row.want || unread != "" {
				t.Errorf("facts = %s, unread %q\nwant    %s", got, unread, row.want)
			}
		})
	}
}

// TestRealClients holds that what real clients sent, recorded from them, is read whole.
func TestRealClients(t *testing.T) {
	rows := map[string]string{
		"docker-28.2":   "image.use alpine|host.mount /:/h rw|port.publish 80/tcp",
		"docker-py-7.1": "image.use alpine|host.mount /srv:/x ro|resource.memory 1073741824|resource.pids 5|port.publish 127.0.0.1:8080/tcp",
	}
	for client, want := range rows {
		t.Run(client, func(t *testing.T) {
			body, err := os.ReadFile("testdata/create-" + client + ".json")
			if err != nil {
				t.Fatal(err)
			}
			facts, unread := factsOf("POST", "/containers/create", string(body))
			if got := strings.Join(facts, "|"); got != want || unread != "" {
				t.Errorf("facts = %s, unread %q\nwant    %s", got, unread, want)
			}
		})
	}
}

// TestUnread holds that what the engine could read otherwise than we do is told, with the facts found nevertheless.
func TestUnread(t *testing.T) {
	rows := []struct{ name, body, unread, facts string }{
		{"case variant", `{"hostconfig":{"Privileged":true}}`, "unknown member /hostconfig", ""},
		{"unknown member", `{"Image":"a","HostConfig":{"Privileges":0,"Privileged":true}}`, "unknown member /HostConfig/Privileges", "image.use a|host.privileged"},
		{"legacy members that say nothing", `{"Image":"a","MacAddress":null,"Runtime":null,"HostConfig":{"KernelMemory":0,"KernelMemoryTCP":0}}`, "", "image.use a"},
		{"legacy MAC address", `{"Image":"a","MacAddress":"02:42:00:00:00:01"}`, "legacy member /MacAddress is set", "image.use a"},
		{"legacy runtime", `{"Image":"a","Runtime":"evil"}`, "legacy member /Runtime is set", "image.use a"},
		{"legacy limit", `{"HostConfig":{"KernelMemory":1}}`, "legacy member /HostConfig/KernelMemory is set", ""},
		{"duplicate", `{"Image":"a","Image":"b"}`, "duplicate member /Image", "image.use a"},
		{"duplicate after unknown", `{"x":1,"Image":"a","Image":"b"}`, "duplicate member /Image", "image.use a"},
		{"second value", `{"Image":"a"}{"Image":"b"}`, "no JSON at byte 13", "image.use a"},
		{"invalid UTF-8", "{\"Image\":\"a\xff\"}", "no JSON at byte 11", ""},
		{"wrong type", `{"Image":"a","Env":"s3cret"}`, "member /Env does not fit", "image.use a"},
		{"no object", `[]`, "it is no object", ""},
		{"no JSON", `s3cret`, "no JSON at byte 0", ""},
		{"BOM", "\ufeff{}", "no JSON at byte 0", ""},
		{"escaped member is the member", `{"HostConfig":{"Privileg\u0065d":true}}`, "", "host.privileged"},
		{"null beside a set one", `{"HostConfig":{"Privileged":true},"HostConfig":null}`, "duplicate member /HostConfig", "host.privileged"},
		{"control characters", `{"s3\u001b[2J":1}`, "unknown member /s3?[2J", ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			facts, unread := factsOf("POST", "/containers/create", row.body)
			want := row.unread
			if want != "" {
				want = "the body can't be read: " + want
			}
			if got := strings.Join(facts, "|"); got != row.facts || unread != want {
				t.Errorf("facts = %s, unread %q\nwant    %s, %q", got, unread, row.facts, want)
			}
		})
	}
}

func TestFactsAreBounded(t *testing.T) {
	var binds []string
	for i := range 100 {
		binds = append(binds, fmt.Sprintf("%q", fmt.Sprintf("/%d:/x", i)))
	}
	c := Read("POST", "/containers/create", "")
	c.ReadBody([]byte(`{"HostConfig":{"Binds":[` + strings.Join(binds, ",") + `]}}`))
	if n := len(c.Facts); n != maxFacts+1 {
		t.Fatalf("%d facts, want %d", n, maxFacts+1)
	}
	if last := c.Facts[maxFacts].String(); last != "more 36 host.mount" {
		t.Errorf("the last fact is %q, want more 36 host.mount", last)
	}
}

// TestGraveFactsCantBeHidden: a crowd of harmless facts, or of long ones, leaves none unnamed that gives the host away.
func TestGraveFactsCantBeHidden(t *testing.T) {
	for _, bind := range []string{"v:/x", strings.Repeat("🐳", 60) + ":/x"} {
		facts, _ := factsOf("POST", "/containers/create", `{"Image":"a","HostConfig":{"Binds":[`+strings.Repeat(`"`+bind+`",`, 63)+`"/:/host"],"PidMode":"host",
			"CapAdd":["SYS_ADMIN"],"SecurityOpt":["seccomp=unconfined"],"Sysctls":{"a":"b"},"Devices":[{"PathOnHost":"/dev/sda"}],"VolumeDriver":"x"}}`)
		for _, want := range []string{"host.mount /:/host rw", "host.pid", "kernel.capability SYS_ADMIN", "security.option seccomp=unconfined", "kernel.sysctl a=b",
			"device.use /dev/sda: "} {
			if !slices.Contains(facts, want) {
				t.Errorf("%q is not among %q", want, facts)
			}
		}
		if last := facts[len(facts)-1]; !strings.HasPrefix(last, "more ") || !strings.HasSuffix(last, " volume.use") {
			t.Errorf("the last fact is %q, want more volume.use", last)
		}
	}
}

// TestMoreIsSaidByKind: grave facts that crowd each other out are counted, the gravest kind first.
func TestMoreIsSaidByKind(t *testing.T) {
	facts, _ := factsOf("POST", "/containers/create", `{"HostConfig":{"Binds":[`+strings.Repeat(`"/a:/a","v:/v",`, 70)+`"/b:/b"],"PidMode":"host","Privileged":true}}`)
	if facts[0] != "host.privileged" || !slices.Equal(facts[maxFacts:], []string{"more 8 host.mount", "more 1 host.pid", "more 70 volume.use"}) {
		t.Errorf("facts = %q", facts)
	}
}

// TestFactTextIsBounded: facts whose characters the record escapes count as it writes them.
func TestFactTextIsBounded(t *testing.T) {
	for _, letter := range []string{"a", "ü", "€", "🐳", `\"`, `\\`} {
		c := Read("POST", "/containers/create", "")
		c.ReadBody([]byte(`{"HostConfig":{"Binds":[` + strings.Repeat(`"/`+strings.Repeat(letter, 300)+`:/x",`, 63) + `"/:/x"]}}`))
		text := 0
		for _, f := range c.Facts {
			if len(f.Value) > maxFactValue || strings.Contains(f.Value, "\ufffd") {
				t.Errorf("a fact of %d bytes: %q", len(f.Value), f.Value)
			}
			text += len(f.Kind) + len(strconv.QuoteToASCII(f.Value))
		}
		if text > maxFactText+300 || len(c.Facts) < 3 { // the one that counts the rest, and quotes
			t.Errorf("%d bytes of %q in %d facts", text, letter, len(c.Facts))
		}
	}
}

func TestFactsArePrintable(t *testing.T) {
	facts, _ := factsOf("POST", "/containers/create", `{"Image":"a\u001b[2J\n\u202eb"}`)
	if !slices.Equal(facts, []string{"image.use a?[2J??b"}) {
		t.Errorf("facts = %q", facts)
	}
}

func BenchmarkRead(b *testing.B) {
	rows := map[string][2]string{
		"ping":    {"HEAD", "/_ping"},
		"list":    {"GET", "/v1.45/containers/json"},
		"inspect": {"GET", "/v1.45/containers/4c01db0b339c/json"},
		"create":  {"POST", "/v1.45/containers/create"},
		"image":   {"GET", "/v1.45/images/registry.example/web/app:1/json"},
		"debug":   {"GET", "/debug/pprof/heap"},
	}
	for name, row := range rows {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Read(row[0], row[1], "")
			}
		})
	}
}

func BenchmarkReadCreateBody(b *testing.B) {
	body, err := os.ReadFile("testdata/create.json")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		c := Read("POST", "/v1.45/containers/create", "name=web")
		c.ReadBody(body)
		if c.Unread != "" {
			b.Fatal(c.Unread)
		}
	}
}
