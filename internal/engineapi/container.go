package engineapi

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// createRequest is container.CreateRequest with the members that real clients still send and Docker's current types lack: docker-py
// sends MacAddress and Runtime with every create, null as a rule, and the command of 20.10 the limits of kernel memory. The outer
// structs also make one allocation out of what nearly every create has.
type createRequest struct {
	container.Config
	HostConfig       hostConfig
	NetworkingConfig network.NetworkingConfig
	MacAddress       string
	Runtime          string
}

type hostConfig struct {
	container.HostConfig
	KernelMemory    int64
	KernelMemoryTCP int64
}

// legacy is an error when a member that Docker's current types lack says something: an older engine may act on it.
func (c *createRequest) legacy() error {
	switch {
	case c.MacAddress != "":
		return errors.New("legacy member /MacAddress is set")
	case c.Runtime != "":
		return errors.New("legacy member /Runtime is set")
	case c.HostConfig.KernelMemory != 0 || c.HostConfig.KernelMemoryTCP != 0:
		return errors.New("legacy member /HostConfig/KernelMemory is set")
	}
	return nil
}

// readContainerCreate reads the facts of ContainerCreate.
func readContainerCreate(r *reader) error {
	var body createRequest
	err := r.decode(&body)
	r.set("image.use", body.Image)
	r.hostConfig(&body.HostConfig.HostConfig)
	for _, name := range sortedKeys(body.NetworkingConfig.EndpointsConfig) {
		r.set("network.use", userDefined(container.NetworkMode(name)))
	}
	return cmp.Or(err, body.legacy())
}

// hostConfig reads what a container asks of its host.
func (r *reader) hostConfig(h *container.HostConfig) {
	r.when(h.Privileged, "host.privileged")
	for _, bind := range h.Binds {
		r.bind(bind)
	}
	for i := range h.Mounts {
		r.mount(&h.Mounts[i])
	}
	r.namespaces(h)
	r.security(h)
	r.resources(&h.Resources)
	r.each("container.volumes", h.VolumesFrom)
	r.each("container.link", h.Links)
	r.ports(h)
	r.set("volume.driver", notDefault(h.VolumeDriver, "local"))
	r.set("log.driver", notDefault(h.LogConfig.Type, "json-file"))
}

// namespaces reads which namespaces are shared, with the host or with another container.
func (r *reader) namespaces(h *container.HostConfig) {
	r.namespace("network", string(h.NetworkMode))
	r.namespace("pid", string(h.PidMode))
	r.namespace("ipc", string(h.IpcMode))
	r.namespace("uts", string(h.UTSMode))
	r.namespace("userns", string(h.UsernsMode))
	r.namespace("cgroupns", string(h.CgroupnsMode))
	r.namespace("cgroup", string(h.Cgroup))
	r.set("network.use", userDefined(h.NetworkMode))
}

// userDefined is the network of a mode that is none of the engine's words. moby's own IsUserDefined differs by the system that it is
// built for.
func userDefined(mode container.NetworkMode) string {
	switch mode {
	case network.NetworkDefault, network.NetworkBridge, network.NetworkNone, network.NetworkHost:
		return ""
	}
	if mode.IsContainer() {
		return ""
	}
	return string(mode)
}

func (r *reader) namespace(name, mode string) {
	if mode == "host" {
		r.add("host."+name, "")
		return
	}
	if target, ok := strings.CutPrefix(mode, "container:"); ok {
		r.add("container.namespace", name+" of "+target)
	}
}

// security reads what weakens the container's walls.
func (r *reader) security(h *container.HostConfig) {
	for _, c := range h.CapAdd {
		r.add("kernel.capability", capability(c))
	}
	for _, o := range h.SecurityOpt {
		r.securityOption(o)
	}
	// null keeps the engine's defaults, an empty list unmasks all.
	r.when(h.MaskedPaths != nil, "security.masked-paths")
	r.when(h.ReadonlyPaths != nil, "security.readonly-paths")
	for _, k := range sortedKeys(h.Sysctls) {
		r.add("kernel.sysctl", k+"="+h.Sysctls[k])
	}
	r.each("group.add", h.GroupAdd)
	r.set("host.runtime", h.Runtime)
	if h.OomScoreAdj != 0 {
		r.add("host.oom-score", strconv.Itoa(h.OomScoreAdj))
	}
}

// securityOption reads one of SecurityOpt. A custom seccomp profile is a whole JSON document, of which only that it is there is told.
func (r *reader) securityOption(option string) {
	key, value, _ := strings.Cut(option, "=")
	if key == "seccomp" && strings.HasPrefix(strings.TrimSpace(value), "{") {
		option = "seccomp=(a profile)"
	}
	r.add("security.option", option)
}

// capability is a capability's one name: cap_net_admin and NET_ADMIN are the same to the engine.
func capability(c string) string { return strings.TrimPrefix(strings.ToUpper(c), "CAP_") }

// resources reads devices and limits.
func (r *reader) resources(c *container.Resources) {
	for _, d := range c.Devices {
		r.add("device.use", d.PathOnHost+":"+d.PathInContainer+" "+d.CgroupPermissions)
	}
	r.each("device.cgroup-rule", c.DeviceCgroupRules)
	for _, d := range c.DeviceRequests {
		r.add("device.request", deviceRequest(&d))
	}
	r.set("host.cgroup-parent", c.CgroupParent)
	r.when(c.OomKillDisable != nil && *c.OomKillDisable, "host.oom-kill-disable")
	r.number("resource.memory", c.Memory)
	r.number("resource.nanocpus", c.NanoCPUs)
	if c.PidsLimit != nil {
		r.number("resource.pids", *c.PidsLimit)
	}
}

func (r *reader) number(kind string, n int64) {
	if n != 0 {
		r.add(kind, strconv.FormatInt(n, 10))
	}
}

func deviceRequest(d *container.DeviceRequest) string {
	var capabilities []string
	for _, all := range d.Capabilities {
		capabilities = append(capabilities, strings.Join(all, "+"))
	}
	return fmt.Sprintf("driver=%s count=%d ids=%s capabilities=%s", d.Driver, d.Count, strings.Join(d.DeviceIDs, ","), strings.Join(capabilities, ","))
}

// ports reads what is published on the host: address, host port and protocol.
func (r *reader) ports(h *container.HostConfig) {
	if h.PublishAllPorts {
		r.add("port.publish", "all")
	}
	for _, port := range slices.SortedFunc(keys(h.PortBindings), comparePorts) {
		for _, b := range h.PortBindings[port] {
			r.add("port.publish", published(b, port))
		}
	}
}

func published(b network.PortBinding, port network.Port) string {
	host := b.HostPort
	if host == "" {
		host = "0" // any
	}
	if b.HostIP.IsValid() {
		host = b.HostIP.String() + ":" + host
	}
	return host + "/" + string(port.Proto())
}

func comparePorts(a, b network.Port) int {
	if c := int(a.Num()) - int(b.Num()); c != 0 {
		return c
	}
	return strings.Compare(string(a.Proto()), string(b.Proto()))
}

// readExecCreate reads the facts of ContainerExec. Its command is none: people type passwords there. Container (docker-py) and Detach
// (Docker's command) are legacy, and no engine acts on them.
func readExecCreate(r *reader) error {
	var body struct {
		container.ExecCreateRequest
		Container string
		Detach    bool
	}
	err := r.decode(&body)
	r.when(body.Privileged, "exec.privileged")
	r.set("exec.user", body.User)
	return err
}

// readContainerUpdate reads the facts of ContainerUpdate.
func readContainerUpdate(r *reader) error {
	var body container.UpdateConfig
	err := r.decode(&body)
	r.resources(&body.Resources)
	r.set("container.restart-policy", string(body.RestartPolicy.Name))
	return err
}
