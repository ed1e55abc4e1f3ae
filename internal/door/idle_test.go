package door

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// idlers makes this program the other end of many connections: address and number.
const idlers = "PIERHEAD_TEST_IDLERS"

func TestMain(m *testing.M) {
	if address, n, ok := strings.Cut(os.Getenv(idlers), " "); ok {
		os.Exit(idle(address, n))
	}
	os.Exit(m.Run())
}

// idle opens connections, each with one request, says "ready", and holds them until its input ends.
func idle(address, number string) int {
	n, err := strconv.Atoi(number)
	if err != nil {
		return 2
	}
	cert, err := selfSigned(2)
	if err != nil {
		return 2
	}
	cfg := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}
	var wg sync.WaitGroup
	held := make([]*tls.Conn, n)
	failed := make(chan error, n)
	for worker := range 8 {
		wg.Go(func() {
			for i := worker; i < n; i += 8 {
				c, err := pinged(address, cfg)
				if err != nil {
					failed <- err
					return
				}
				held[i] = c
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		fmt.Println(err)
		return 1
	default:
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with its parent
	return 0
}

func pinged(address string, cfg *tls.Config) (*tls.Conn, error) {
	c, err := tls.Dial("tcp", address, cfg)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, ping); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return c, err
}

// TestIdleConnections holds 10,000 of them, and calls meanwhile.
func TestIdleConnections(t *testing.T) {
	n := 10_000
	if raceEnabled {
		n = 500 // a handshake takes ten times as long
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < uint64(n)+200 {
		t.Logf("only %d descriptors: fewer connections than %d", limit.Cur, n)
		n = int(limit.Cur) - 200
	}
	o := open(t, func(c *TLSConfig) { c.Idle = time.Hour })
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", idlers, o.address, n))
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || said != "ready\n" {
		t.Errorf("the other end: %q, %v", said, err)
	}
	resp, body := talk(t, o.dial(t, true), ping)
	expect(t, resp, body, 200, "ana")
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}
