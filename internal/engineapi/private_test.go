package engineapi

import (
	"reflect"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/plugin"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/api/types/volume"
)

// secretMembers are the members of the engine's answers whose values a person who may only look must not see, in small letters: moby
// writes a plugin's environment as Env in one place, and as env in another.
var secretMembers = map[string]bool{
	"env": true, "data": true, "options": true, "logconfig": true, "jointokens": true, "unlockkey": true, "signingcakey": true,
	"externalcas": true, "credentialspec": true, "containerconfig": true, "output": true, "mirrors": true, "publishcontext": true, "volumecontext": true,
}

// answers are the types of the answers of every read that returns objects of Docker's.
var answers = map[Operation]any{
	"ContainerList": []container.Summary{}, "ContainerInspect": container.InspectResponse{}, "ContainerStats": container.StatsResponse{},
	"ContainerWait": container.WaitResponse{}, "ImageList": []image.Summary{}, "ImageInspect": image.InspectResponse{},
	"SystemInfo": system.Info{}, "SystemVersion": system.VersionResponse{},
	"VolumeList": volume.ListResponse{}, "VolumeInspect": volume.Volume{}, "SwarmInspect": swarm.Swarm{},
	"ServiceList": []swarm.Service{}, "ServiceInspect": swarm.Service{}, "NodeList": []swarm.Node{}, "NodeInspect": swarm.Node{},
	"TaskList": []swarm.Task{}, "TaskInspect": swarm.Task{}, "SecretList": []swarm.Secret{}, "SecretInspect": swarm.Secret{},
	"ConfigList": []swarm.Config{}, "ConfigInspect": swarm.Config{}, "PluginList": []plugin.Plugin{}, "PluginInspect": plugin.Plugin{},
}

// notSecret are answers in which a member has such a name, and nothing to hide: a bridge's name and its address pool.
var notSecret = map[Operation]any{"NetworkList": []network.Summary{}, "NetworkInspect": network.Inspect{}}

// TestPrivate holds that a route is private when a secret member is anywhere in the type of its answer: a new field of moby's that
// carries one can't slip through.
func TestPrivate(t *testing.T) {
	for r := range Routes() {
		answer, known := answers[r.Operation]
		if !known {
			if r.Private {
				t.Errorf("%s is private, and the type of its answer is not told here", r.Operation)
			}
			if _, told := notSecret[r.Operation]; !told && r.Reads && strings.HasSuffix(string(r.Verb), ".read") && r.Verb != "debug.read" {
				t.Errorf("%s: the type of its answer is not told here", r.Operation)
			}
			continue
		}
		path := findSecret(reflect.TypeOf(answer), map[reflect.Type]bool{})
		if r.Private != (path != "") {
			t.Errorf("%s: private is %v, and the secret member in its answer is %q", r.Operation, r.Private, path)
		}
	}
}

// findSecret is the path to the first secret member that a type has.
func findSecret(t reflect.Type, seen map[reflect.Type]bool) string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return findSecret(t.Elem(), seen)
	case reflect.Struct:
	default:
		return ""
	}
	if seen[t] || t.Name() == "Descriptor" && strings.HasSuffix(t.PkgPath(), "/image-spec/specs-go/v1") {
		return "" // a descriptor's data is what a registry hands to everyone who pulls
	}
	seen[t] = true
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		if f.IsExported() && secretMembers[strings.ToLower(name)] {
			return name
		}
		if below := findSecret(f.Type, seen); below != "" {
			return name + "." + below
		}
	}
	return ""
}
