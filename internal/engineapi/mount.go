package engineapi

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/volume"
)

// bind reads one of HostConfig.Binds: source:target[:options]. A source that is a path is the host's, else a volume's name.
func (r *reader) bind(s string) {
	source, rest, ok := strings.Cut(s, ":")
	if !ok {
		return // a target alone: an anonymous volume
	}
	target, options, _ := strings.Cut(rest, ":")
	mode := "rw"
	for o := range strings.SplitSeq(options, ",") {
		if o == "ro" || o == "readonly" {
			mode = "ro"
		}
	}
	r.mounted(bindKind(source), source, target, mode)
}

// bindKind tells a path of the host from a volume's name; names begin with a letter or digit, and a Windows path with a drive.
func bindKind(source string) string {
	if strings.ContainsAny(source, `/\`) || strings.HasPrefix(source, ".") || strings.HasPrefix(source, "~") {
		return "host.mount"
	}
	return "volume.use"
}

func (r *reader) mounted(kind, source, target, mode string) {
	r.add(kind, source+":"+target+" "+mode)
}

// mount reads one of Mounts, of a container or a service.
func (r *reader) mount(m *mount.Mount) {
	mode := "rw"
	if m.ReadOnly {
		mode = "ro"
	}
	switch m.Type {
	case mount.TypeBind, mount.TypeNamedPipe:
		r.mounted("host.mount", m.Source, m.Target, mode)
		if b := m.BindOptions; b != nil {
			r.set("host.propagation", string(b.Propagation))
		}
	case mount.TypeImage:
		r.set("image.use", m.Source)
	case mount.TypeTmpfs:
	default:
		r.volumeMount(m, mode)
	}
}

// volumeMount reads a volume's mount. One whose driver options say type=none,o=bind,device=/ is a bind mount in disguise.
func (r *reader) volumeMount(m *mount.Mount, mode string) {
	if m.Source != "" {
		r.mounted("volume.use", m.Source, m.Target, mode)
	}
	if o := m.VolumeOptions; o != nil && o.DriverConfig != nil {
		r.volumeDriver(o.DriverConfig.Name, o.DriverConfig.Options, m.Target, mode)
	}
}

// volumeDriver reads a volume's driver and options. Of the options only type and device are told: o holds passwords (cifs).
func (r *reader) volumeDriver(driver string, options map[string]string, target, mode string) {
	r.set("volume.driver", notDefault(driver, "local"))
	device := options["device"]
	switch {
	case isBind(options["o"]):
		r.mounted("host.mount", device, target, mode)
	case device != "" && options["type"] != "tmpfs":
		r.add("volume.device", strings.TrimSpace(options["type"]+" "+device))
	}
}

func isBind(options string) bool {
	for o := range strings.SplitSeq(options, ",") {
		if o == "bind" || o == "rbind" {
			return true
		}
	}
	return false
}

// readVolumeCreate reads the facts of VolumeCreate.
func readVolumeCreate(r *reader) error {
	var body volume.CreateRequest
	err := r.decode(&body)
	r.set("volume.name", body.Name)
	r.volumeDriver(body.Driver, body.DriverOpts, "", "rw")
	r.when(body.ClusterVolumeSpec != nil, "volume.cluster")
	return err
}

// notDefault is value, or nothing when it is the default.
func notDefault(value, standard string) string {
	if value == standard {
		return ""
	}
	return value
}

func keys[M ~map[K]V, K comparable, V any](m M) iter.Seq[K] { return maps.Keys(m) }

// sortedKeys are a map's keys in order, so that the record is the same for the same body.
func sortedKeys[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}
