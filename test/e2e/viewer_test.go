package e2e_test

import (
	"strings"
	"testing"
)

// TestViewer lets somebody in who may look: docker works for them as far as that goes, and a refusal reaches neither the
// engine nor oblivion.
func TestViewer(t *testing.T) {
	rig := newRig(t)
	invite := enrolLine.FindStringSubmatch(rig.server.pierhead(t, "invite", "ana", "--role", "viewer"))
	if invite == nil {
		t.Fatal("no way in was printed for ana")
	}
	ana := newClient(t, "ana", "DOCKER_CONTEXT=e2e")
	rig.server.enrol(t, ana, invite[1])
	owner, s := newSession(t, rig.direct), newSession(t, ana)
	owner.container("e2e-seen", box, "sleep", "1000")

	s.wants(s.docker("ps", "--format", "{{.Names}}"), "e2e-seen")
	for _, refused := range [][]string{
		{"run", "--name", "e2e-refused", "-v", "/:/host", box, "ls", "/host"},
		{"exec", "e2e-seen", "true"},
		{"rm", "-f", "e2e-seen"},
		{"cp", "e2e-seen:/etc/passwd", "-"},
		{"pause", "e2e-seen"},
	} {
		out := s.fails(refused...)
		s.wants(out, "ana may not")
		s.wants(out, "hint: ")
	}
	if left := owner.docker("ps", "-a", "--filter", "name=e2e-", "--format", "{{.Names}} {{.State}}"); strings.TrimSpace(left) != "e2e-seen running" {
		t.Errorf("after the refusals the engine has:\n%s", left)
	}
	denied := rig.server.pierhead(t, "audit", "--denied", "--identity", "ana")
	for _, word := range []string{"container.create", "host.mount /:/host rw", "container.exec", "e2e-seen"} {
		s.wants(denied, word)
	}
}
