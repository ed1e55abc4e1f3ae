package engineapi

import (
	"fmt"

	"github.com/moby/moby/api/types/swarm"
)

// readService reads the facts of ServiceCreate and ServiceUpdate.
func readService(r *reader) error {
	var body swarm.ServiceSpec
	err := r.decode(&body)
	r.set("service.name", body.Name)
	r.set("service.runtime", notDefault(string(body.TaskTemplate.Runtime), string(swarm.RuntimeContainer)))
	if s := body.TaskTemplate.ContainerSpec; s != nil {
		r.containerSpec(s)
	}
	if p := body.TaskTemplate.PluginSpec; p != nil {
		r.set("plugin.use", p.Remote)
	}
	for _, n := range body.TaskTemplate.Networks {
		r.serviceNetwork(n.Target)
	}
	if d := body.TaskTemplate.LogDriver; d != nil {
		r.set("log.driver", notDefault(d.Name, "json-file"))
	}
	if e := body.EndpointSpec; e != nil {
		for _, p := range e.Ports {
			r.add("port.publish", fmt.Sprintf("%d/%s", p.PublishedPort, p.Protocol))
		}
	}
	return err
}

// serviceNetwork reads a network that tasks are attached to; the predefined host network is the host's namespace.
func (r *reader) serviceNetwork(target string) {
	if target == "host" {
		r.add("host.network", "")
		return
	}
	r.set("network.use", target)
}

// containerSpec reads what a service's tasks ask for.
func (r *reader) containerSpec(s *swarm.ContainerSpec) {
	r.set("image.use", s.Image)
	for i := range s.Mounts {
		r.mount(&s.Mounts[i])
	}
	for _, c := range s.CapabilityAdd {
		r.add("kernel.capability", capability(c))
	}
	for _, k := range sortedKeys(s.Sysctls) {
		r.add("kernel.sysctl", k+"="+s.Sysctls[k])
	}
	r.each("group.add", s.Groups)
	if s.OomScoreAdj != 0 {
		r.number("host.oom-score", s.OomScoreAdj)
	}
	if s.Privileges != nil {
		r.privileges(s.Privileges)
	}
	for _, x := range s.Secrets {
		if x != nil {
			r.set("secret.use", x.SecretName)
		}
	}
	for _, x := range s.Configs {
		if x != nil {
			r.set("config.use", x.ConfigName)
		}
	}
}

// privileges reads Swarm's form of the security options.
func (r *reader) privileges(p *swarm.Privileges) {
	if p.Seccomp != nil && p.Seccomp.Mode != swarm.SeccompModeDefault {
		r.set("security.option", "seccomp="+string(p.Seccomp.Mode))
	}
	if p.AppArmor != nil && p.AppArmor.Mode != swarm.AppArmorModeDefault {
		r.set("security.option", "apparmor="+string(p.AppArmor.Mode))
	}
	if p.SELinuxContext != nil && p.SELinuxContext.Disable {
		r.add("security.option", "label=disable")
	}
	r.when(p.CredentialSpec != nil, "security.credential-spec")
}
