package engineapi

// routes is the engine's whole route table: moby's routers, in moby's order within a router. Its swagger lacks fourteen of them.
// The test beside compares it with testdata/moby-routes.txt, which test/moby generates from moby's source.
//
// Reads is said only of what changes nothing: attach takes stdin though it is a GET, and wait is a POST that only waits.
//
//go:generate go run -C ../../test/moby . ../../internal/engineapi/testdata/moby-routes.txt
var routes = []Route{
	// method, pattern, operation, verb, shape, reads

	// daemon/server/router/checkpoint; listing takes a directory of the host, so that it is no plain read
	{"GET", "/containers/{name}/checkpoints", "CheckpointList", "container.checkpoint", Plain, true, none},
	{"POST", "/containers/{name}/checkpoints", "CheckpointCreate", "container.checkpoint", Plain, false, none},
	{"DELETE", "/containers/{name}/checkpoints/{checkpoint}", "CheckpointDelete", "container.checkpoint", Plain, false, none},

	// daemon/server/router/container
	{"HEAD", "/containers/{name}/archive", "ContainerArchiveInfo", "container.files", Plain, true, none},
	{"GET", "/containers/json", "ContainerList", "container.read", Plain, true, none},
	{"GET", "/containers/{name}/export", "ContainerExport", "container.files", Stream, true, none},
	{"GET", "/containers/{name}/changes", "ContainerChanges", "container.files", Plain, true, none},
	{"GET", "/containers/{name}/json", "ContainerInspect", "container.read", Plain, true, more{Private: true}},
	{"GET", "/containers/{name}/top", "ContainerTop", "container.top", Plain, true, none},
	{"GET", "/containers/{name}/logs", "ContainerLogs", "container.logs", Stream, true, none},
	{"GET", "/containers/{name}/stats", "ContainerStats", "container.read", Stream, true, none},
	{"GET", "/containers/{name}/attach/ws", "ContainerAttachWebsocket", "container.attach", Websocket, false, none},
	{"GET", "/exec/{id}/json", "ExecInspect", "container.exec", Plain, true, none},
	{"GET", "/containers/{name}/archive", "ContainerArchive", "container.files", Stream, true, none},
	{"POST", "/containers/create", "ContainerCreate", "container.create", Plain, false, more{names: byName("container"), body: readContainerCreate}},
	{"POST", "/containers/{name}/kill", "ContainerKill", "container.stop", Plain, false, none},
	{"POST", "/containers/{name}/pause", "ContainerPause", "container.pause", Plain, false, none},
	{"POST", "/containers/{name}/unpause", "ContainerUnpause", "container.pause", Plain, false, none},
	{"POST", "/containers/{name}/restart", "ContainerRestart", "container.restart", Plain, false, none},
	{"POST", "/containers/{name}/start", "ContainerStart", "container.start", Plain, false, none},
	{"POST", "/containers/{name}/stop", "ContainerStop", "container.stop", Plain, false, none},
	{"POST", "/containers/{name}/wait", "ContainerWait", "container.read", Stream, true, none},
	{"POST", "/containers/{name}/resize", "ContainerResize", "container.attach", Plain, false, none},
	{"POST", "/containers/{name}/attach", "ContainerAttach", "container.attach", Hijack, false, none},
	{"POST", "/containers/{name}/exec", "ContainerExec", "container.exec", Plain, false, more{body: readExecCreate}},
	{"POST", "/exec/{name}/start", "ExecStart", "container.exec", Hijack, false, none},
	{"POST", "/exec/{name}/resize", "ExecResize", "container.exec", Plain, false, none},
	{"POST", "/containers/{name}/rename", "ContainerRename", "container.rename", Plain, false, more{names: byName("container")}},
	{"POST", "/containers/{name}/update", "ContainerUpdate", "container.update", Plain, false, more{body: readContainerUpdate}},
	{"POST", "/containers/prune", "ContainerPrune", "container.prune", Plain, false, none},
	{"POST", "/commit", "ImageCommit", "image.commit", Plain, false, more{names: []param{{"container", "container"}, {"repo", "image"}}}},
	{"PUT", "/containers/{name}/archive", "PutContainerArchive", "container.files.write", Upload, false, none},
	{"DELETE", "/containers/{name}", "ContainerDelete", "container.remove", Plain, false, none},

	// daemon/server/router/image; history and attestations carry build arguments
	{"GET", "/images/json", "ImageList", "image.read", Plain, true, none},
	{"GET", "/images/search", "ImageSearch", "registry.search", Plain, true, none},
	{"GET", "/images/get", "ImageGetAll", "image.save", Stream, true, more{names: []param{{"names", "image"}}}},
	{"GET", "/images/{name...}/get", "ImageGet", "image.save", Stream, true, none},
	{"GET", "/images/{name...}/history", "ImageHistory", "image.history", Plain, true, none},
	{"GET", "/images/{name...}/json", "ImageInspect", "image.read", Plain, true, more{Private: true}},
	{"GET", "/images/{name...}/attestations", "ImageAttestations", "image.history", Plain, true, none},
	{"POST", "/images/load", "ImageLoad", "image.load", Upload, false, none},
	{"POST", "/images/create", "ImageCreate", "image.pull", Upload, false, more{names: []param{{"fromImage", "image"}, {"repo", "image"}}}},
	{"POST", "/images/{name...}/push", "ImagePush", "image.push", Stream, false, none},
	{"POST", "/images/{name...}/tag", "ImageTag", "image.tag", Plain, false, more{names: []param{{"repo", "image"}}}},
	{"POST", "/images/prune", "ImagePrune", "image.prune", Plain, false, none},
	{"DELETE", "/images/{name...}", "ImageDelete", "image.remove", Plain, false, none},

	// daemon/server/router/system
	{"OPTIONS", "/{anyroute...}", "SystemOptions", "system.ping", Plain, true, none},
	{"GET", "/_ping", "SystemPing", "system.ping", Plain, true, none},
	{"HEAD", "/_ping", "SystemPingHead", "system.ping", Plain, true, none},
	{"GET", "/events", "SystemEvents", "system.events", Stream, true, none},
	{"GET", "/info", "SystemInfo", "system.read", Plain, true, more{Private: true}},
	{"GET", "/version", "SystemVersion", "system.read", Plain, true, none},
	{"GET", "/system/df", "SystemDataUsage", "system.df", Plain, true, none},
	{"POST", "/auth", "SystemAuth", "registry.login", Plain, false, none},

	// daemon/server/router/volume; driver options of cifs and nfs carry passwords
	{"GET", "/volumes", "VolumeList", "volume.read", Plain, true, more{Private: true}},
	{"GET", "/volumes/{name}", "VolumeInspect", "volume.read", Plain, true, more{Private: true}},
	{"POST", "/volumes/create", "VolumeCreate", "volume.create", Plain, false, more{body: readVolumeCreate}},
	{"POST", "/volumes/prune", "VolumePrune", "volume.prune", Plain, false, none},
	{"PUT", "/volumes/{name}", "VolumeUpdate", "volume.update", Plain, false, none},
	{"DELETE", "/volumes/{name}", "VolumeDelete", "volume.remove", Plain, false, none},

	// daemon/server/router/build, session and grpc
	{"POST", "/build", "ImageBuild", "image.build", Upload, false, more{names: []param{{"t", "image"}}}},
	{"POST", "/build/prune", "BuildPrune", "build.prune", Plain, false, none},
	{"POST", "/build/cancel", "BuildCancel", "image.build", Plain, false, none},
	{"POST", "/session", "Session", "buildkit.session", Hijack, false, none},
	{"POST", "/grpc", "Grpc", "buildkit.control", Hijack, false, none},

	// daemon/server/router/swarm
	{"POST", "/swarm/init", "SwarmInit", "swarm.init", Plain, false, none},
	{"POST", "/swarm/join", "SwarmJoin", "swarm.join", Plain, false, none},
	{"POST", "/swarm/leave", "SwarmLeave", "swarm.leave", Plain, false, none},
	{"GET", "/swarm", "SwarmInspect", "swarm.read", Plain, true, more{Private: true}},
	{"GET", "/swarm/unlockkey", "SwarmUnlockkey", "swarm.secrets", Plain, true, none},
	{"POST", "/swarm/update", "SwarmUpdate", "swarm.update", Plain, false, none},
	{"POST", "/swarm/unlock", "SwarmUnlock", "swarm.unlock", Plain, false, none},
	{"GET", "/services", "ServiceList", "service.read", Plain, true, more{Private: true}},
	{"GET", "/services/{id}", "ServiceInspect", "service.read", Plain, true, more{Private: true}},
	{"POST", "/services/create", "ServiceCreate", "service.create", Plain, false, more{body: readService}},
	{"POST", "/services/{id}/update", "ServiceUpdate", "service.update", Plain, false, more{body: readService}},
	{"DELETE", "/services/{id}", "ServiceDelete", "service.remove", Plain, false, none},
	{"GET", "/services/{id}/logs", "ServiceLogs", "service.logs", Stream, true, none},
	{"GET", "/nodes", "NodeList", "node.read", Plain, true, none},
	{"GET", "/nodes/{id}", "NodeInspect", "node.read", Plain, true, none},
	{"DELETE", "/nodes/{id}", "NodeDelete", "node.remove", Plain, false, none},
	{"POST", "/nodes/{id}/update", "NodeUpdate", "node.update", Plain, false, none},
	{"GET", "/tasks", "TaskList", "task.read", Plain, true, more{Private: true}},
	{"GET", "/tasks/{id}", "TaskInspect", "task.read", Plain, true, more{Private: true}},
	{"GET", "/tasks/{id}/logs", "TaskLogs", "task.logs", Stream, true, none},
	{"GET", "/secrets", "SecretList", "secret.read", Plain, true, more{Private: true}},
	{"POST", "/secrets/create", "SecretCreate", "secret.create", Plain, false, none},
	{"DELETE", "/secrets/{id}", "SecretDelete", "secret.remove", Plain, false, none},
	{"GET", "/secrets/{id}", "SecretInspect", "secret.read", Plain, true, more{Private: true}},
	{"POST", "/secrets/{id}/update", "SecretUpdate", "secret.update", Plain, false, none},
	{"GET", "/configs", "ConfigList", "config.read", Plain, true, more{Private: true}},
	{"POST", "/configs/create", "ConfigCreate", "config.create", Plain, false, none},
	{"DELETE", "/configs/{id}", "ConfigDelete", "config.remove", Plain, false, none},
	{"GET", "/configs/{id}", "ConfigInspect", "config.read", Plain, true, more{Private: true}},
	{"POST", "/configs/{id}/update", "ConfigUpdate", "config.update", Plain, false, none},

	// daemon/server/router/plugin
	{"GET", "/plugins", "PluginList", "plugin.read", Plain, true, more{Private: true}},
	{"GET", "/plugins/{name...}/json", "PluginInspect", "plugin.read", Plain, true, more{Private: true}},
	{"GET", "/plugins/privileges", "GetPluginPrivileges", "registry.inspect", Plain, true, more{names: []param{{"remote", "plugin"}}}},
	{"DELETE", "/plugins/{name...}", "PluginDelete", "plugin.remove", Plain, false, none},
	{"POST", "/plugins/{name...}/enable", "PluginEnable", "plugin.enable", Plain, false, none},
	{"POST", "/plugins/{name...}/disable", "PluginDisable", "plugin.disable", Plain, false, none},
	{"POST", "/plugins/pull", "PluginPull", "plugin.install", Stream, false, more{names: []param{{"remote", "plugin"}, {"name", "plugin"}}}},
	{"POST", "/plugins/{name...}/push", "PluginPush", "plugin.push", Stream, false, none},
	{"POST", "/plugins/{name...}/upgrade", "PluginUpgrade", "plugin.upgrade", Stream, false, more{names: []param{{"remote", "plugin"}}}},
	{"POST", "/plugins/{name...}/set", "PluginSet", "plugin.set", Plain, false, none},
	{"POST", "/plugins/create", "PluginCreate", "plugin.create", Upload, false, more{names: byName("plugin")}},

	// daemon/server/router/distribution; it makes the engine dial the registry that the name says
	{"GET", "/distribution/{name...}/json", "DistributionInspect", "registry.inspect", Plain, true, none},

	// daemon/server/router/network
	{"GET", "/networks", "NetworkList", "network.read", Plain, true, none},
	{"GET", "/networks/", "NetworkList", "network.read", Plain, true, none},
	{"GET", "/networks/{id}", "NetworkInspect", "network.read", Plain, true, none},
	{"POST", "/networks/create", "NetworkCreate", "network.create", Plain, false, none},
	{"POST", "/networks/{id}/connect", "NetworkConnect", "network.connect", Plain, false, none},
	{"POST", "/networks/{id}/disconnect", "NetworkDisconnect", "network.disconnect", Plain, false, none},
	{"POST", "/networks/prune", "NetworkPrune", "network.prune", Plain, false, none},
	{"DELETE", "/networks/{id}", "NetworkDelete", "network.remove", Plain, false, none},

	// daemon/server/router/debug: the engine's own memory and command line
	{"GET", "/debug/vars", "DebugVars", "debug.read", Plain, true, none},
	{"GET", "/debug/pprof/", "DebugPprofIndex", "debug.read", Plain, true, none},
	{"GET", "/debug/pprof/cmdline", "DebugPprofCmdline", "debug.read", Plain, true, none},
	{"GET", "/debug/pprof/profile", "DebugPprofProfile", "debug.read", Stream, true, none},
	{"GET", "/debug/pprof/symbol", "DebugPprofSymbol", "debug.read", Plain, true, none},
	{"GET", "/debug/pprof/trace", "DebugPprofTrace", "debug.read", Stream, true, none},
	{"GET", "/debug/pprof/{name}", "DebugPprofNamed", "debug.read", Stream, true, none},
}

var none more

func byName(kind string) []param { return []param{{"name", kind}} }
