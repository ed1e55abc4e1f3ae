package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// play plays all scenes, and cleans up behind itself.
func play(ctx context.Context, s *stage, keep bool) (err error) {
	if err := os.MkdirAll(filepath.Join(s.dir, "home"), 0o700); err != nil {
		return err
	}
	s.set("PIERHEAD_STATE", filepath.Join(s.dir, "state"))
	s.as("owner")
	e, err := findEngine(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	if e, err = danger(ctx, s, e); err != nil {
		return err
	}
	v, err := open(s, e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	strangers(s, v)
	enrolled(s, v, e)
	bundle(s, v)
	hint := viewer(s, e)
	trail(s, hint)
	if !e.real {
		s.tell("!!! All of this was Pierhead in front of a MADE-UP engine.")
	}
	next(s, keep)
	if keep && s.err == nil {
		<-ctx.Done()
	}
	return s.err
}

// as makes the commands that follow those of somebody with a Docker configuration of their own.
func (s *stage) as(who string) { s.set("DOCKER_CONFIG", filepath.Join(s.dir, who)) }

// danger shows what an open Docker API is. It returns the engine to go on with: one that was open is ended.
func danger(ctx context.Context, s *stage, e *engine) (*engine, error) {
	s.scene("The danger: a Docker API that is open (stories S1 and S2)")
	if !e.real {
		s.tell("Left out: it takes a real engine.")
		return e, nil
	}
	secret := filepath.Join(s.dir, "payroll.txt")
	if err := os.WriteFile(secret, []byte("ana 5000\nbert 4800\n"), 0o600); err != nil {
		return e, err
	}
	s.tell("%s, and a file of this machine that is root's alone:", e.what)
	s.works("ls -l payroll.txt")
	if !e.own {
		s.tell("Through the socket, as anyone in the group docker:")
		breakIn(s, e.host, secret)
		return e, s.err
	}
	return openEngine(ctx, s, e, secret)
}

// openEngine replaces the engine by one that listens to everyone, breaks in, and comes back with one that doesn't.
func openEngine(ctx context.Context, s *stage, e *engine, secret string) (*engine, error) {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return e, err
	}
	host := "tcp://" + listener.Addr().String()
	if err := e.close(); err != nil {
		return e, errors.Join(err, listener.Close())
	}
	opened, err := privateEngine(ctx, listener)
	if err != nil {
		return e, errors.Join(err, listener.Close())
	}
	s.tell("The engine listens on %s, as so many tutorials have it. Nobody asks who you are:", host)
	s.works("curl -s "+strings.Replace(host, "tcp", "http", 1)+"/containers/json", "[]")
	s.works("docker --host "+host+" container ls", "CONTAINER ID")
	breakIn(s, host, secret)
	s.tell("No credential, no trace. That engine ends here.")
	if err := errors.Join(opened.close(), listener.Close()); err != nil {
		return e, err
	}
	return privateEngine(ctx, nil)
}

// breakIn reads the disk of the engine's host. It only reads.
func breakIn(s *stage, host, secret string) {
	run := "docker --host " + host + " container run --rm -v /:/host-drive:ro " + image
	s.works(run+" ls /host-drive", "etc")
	s.works(run+" cat /host-drive"+secret, "ana 5000")
}

func open(s *stage, e *engine) (*server, error) {
	s.scene("Pierhead in front of it")
	s.tell("No configuration: it makes its authority and its certificate, and says how to come in.")
	return serve(s, "pierhead serve --listen 127.0.0.1:0 --engine "+e.host)
}

// strangers come without a certificate, in every way there is.
func strangers(s *stage, v *server) {
	s.scene("No certificate (story S4)")
	s.refused("curl -sS --fail-with-body http://"+v.address+"/containers/json", "hint:")
	s.refused("docker --host tcp://"+v.address+" container ls", "hint:")
	s.tell("With TLS, but as nobody:")
	s.refused("curl -sS --fail-with-body -k https://"+v.address+"/containers/json", "certificate", "hint:")
}

// enrolled comes in by the printed line, and works.
func enrolled(s *stage, v *server, e *engine) {
	s.scene("Enrolled: the ordinary docker command, over mutual TLS (stories S5 and S7)")
	s.tell("The line that the server printed. The key is made here, and never leaves:")
	s.works(v.enrol+" --context prod", "prod")
	s.works("docker context ls", "prod", "tcp://"+v.address)
	s.works("docker --context prod container run --rm "+image+" echo hello from a container", "hello from a container")
	if !e.real {
		return
	}
	s.works("docker --context prod container run -d -P --expose 8080 --name pierhead-demo-web "+image+" httpd -f -p 8080", "")
	s.works("docker --context prod container ls", "pierhead-demo-web", "->8080/tcp")
	s.works("docker --context prod exec pierhead-demo-web uname -s", "Linux")
}

// bundle uses the certificate as files, and makes a context by hand.
func bundle(s *stage, v *server) {
	s.scene("The same certificate as files, and a context made by hand (stories S5 and S7)")
	s.works("mkdir certs && pierhead bundle export --context prod | tar -xvC certs", "ca.pem", "cert.pem", "key.pem")
	s.works("docker --host tcp://" + v.address + " --tlsverify \\\n" +
		"    --tlscacert certs/ca.pem --tlscert certs/cert.pem --tlskey certs/key.pem container ls")
	s.works("docker context create by-hand \\\n    --docker host=tcp://"+v.address+",ca=certs/ca.pem,cert=certs/cert.pem,key=certs/key.pem", "by-hand")
	s.works("docker context use by-hand && docker container ls --format '{{.Image}}' && docker context ls", "by-hand *")
	s.works("docker context export by-hand by-hand.tar && docker context import moved by-hand.tar && docker --context moved version --format '{{.Server.APIVersion}}'",
		"moved")
	s.works("docker context use default")
}

// auditHint is the command that a refusal ends with. The docker command of 20.10 puts a full stop behind it.
var auditHint = regexp.MustCompile(`pierhead audit --decision d-[0-9a-f]+`)

// viewer is somebody who may look, and tries more. It returns the command that her refusal tells to type.
func viewer(s *stage, e *engine) string {
	s.scene("Somebody who may only look (story S2 again)")
	s.tell("The operator invites vera, and she enrols on her own machine:")
	line := s.works("pierhead invite vera --role viewer", "pierhead enrol ")
	s.as("vera")
	s.works(enrolLine.FindString(line)+" --context prod", "vera")
	s.works("docker --context prod container ls", "CONTAINER ID")
	s.tell("And now what everybody could do before:")
	said := s.refused("docker --context prod container run --rm -v /:/host-drive "+image+" ls /host-drive", "vera", "viewer", "hint:")
	if e.real {
		s.refused("docker --context prod exec pierhead-demo-web cat /etc/passwd", "vera", "hint:")
	}
	s.as("owner")
	return auditHint.FindString(said)
}

// trail shows who tried what, when and from where.
func trail(s *stage, hint string) {
	s.scene("The trail: who tried what, when, from where")
	s.tell("What vera's refusal tells to type:")
	s.works(hint, "vera", "127.0.0.1", "ContainerCreate", "deny", "host.mount /:/host-drive")
	s.tell("And the last that was done, by anyone:")
	s.works("pierhead audit --limit 10", "vera", "deny")
	s.works("pierhead audit verify", "the chain holds")
}

// next says what to type.
func next(s *stage, keep bool) {
	s.scene("What next")
	if !keep {
		s.tell("make demo KEEP=1                 play it again, and stay up to type along\n" +
			"make build && bin/pierhead serve your own engine; it prints how to come in\n" +
			"less README.md docs/README.md    how it works, and what it doesn't protect against")
		return
	}
	s.tell("It stays up until Ctrl-C. In another terminal:")
	for _, name := range []string{"PATH", "PIERHEAD_STATE", "DOCKER_CONFIG"} {
		for _, e := range s.env {
			if value, ok := strings.CutPrefix(e, name+"="); ok && s.err == nil {
				value = strings.Replace(value, os.Getenv("PATH"), "$PATH", 1)
				s.print(fmt.Sprintf("    export %s=\"%s\"\n", name, value))
			}
		}
	}
	s.tell("and then, for example:")
	s.print("    docker --context prod container run -it --rm " + image + "\n    pierhead audit --follow\n" +
		"    DOCKER_CONFIG=" + filepath.Join(s.dir, "vera") + " docker --context prod container ls\n")
}
