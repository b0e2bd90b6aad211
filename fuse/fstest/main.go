package fstest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The environment variable that says how far up the climb a test binary is.
const stageVar = "RL_FSTEST_STAGE"

// The users of a test machine: one has subordinate ids, one has none.
const (
	withSubIDs    = "rlsub"
	withoutSubIDs = "rlone"
)

// Main runs a package's tests inside user namespaces of ordinary users. Use it
// as
//
//	func TestMain(m *testing.M) { fstest.Main(m) }
func Main(m *testing.M) {
	code, err := climb(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fstest:", err)
		code = 1
	}
	os.Exit(code)
}

func climb(m *testing.M) (int, error) {
	switch stage := os.Getenv(stageVar); stage {
	case "inside":
		if err := settle(); err != nil {
			return 1, err
		}
		return m.Run(), nil
	case "direct": // a test started its own binary, in the namespaces it has
		return m.Run(), nil
	case "":
		if os.Geteuid() == 0 {
			return asUsers()
		}
		return asMe("subids", "single")
	default: // the user was chosen by root, with the map to test
		return asMe(stage)
	}
}

// asUsers runs the tests as the machine's two ordinary users. Where there are none,
// root makes the namespaces itself: it says so, and with RL_TEST_REQUIRE it fails.
func asUsers() (int, error) {
	var missing []string
	code := 0
	for _, who := range []struct{ name, stage string }{{withSubIDs, "subids"}, {withoutSubIDs, "single"}} {
		u, err := user.Lookup(who.name)
		if err != nil {
			missing = append(missing, who.name)
			continue
		}
		cred, err := credential(u)
		if err != nil {
			return 1, err
		}
		cmd, err := again(who.stage)
		if err != nil {
			return 1, err
		}
		cmd.Env = append(cmd.Env, "HOME="+u.HomeDir, "USER="+u.Username)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
		c, err := wait(cmd)
		if err != nil {
			return 1, err
		}
		code = max(code, c)
	}
	if len(missing) == 0 {
		return code, nil
	}
	why := "there is no user " + strings.Join(missing, " and no ") + " to run the tests as"
	if os.Getenv("RL_TEST_REQUIRE") != "" {
		return 1, errors.New(why)
	}
	fmt.Println("fstest: skipped:", why)
	if len(missing) == 2 {
		fmt.Println("fstest: running them in namespaces of root instead, which proves less")
		c, err := inside("root", rootMap())
		return max(code, c), err
	}
	return code, nil
}

// asMe runs the tests with each map that this user can have.
func asMe(maps ...string) (int, error) {
	code := 0
	for _, name := range maps {
		m, err := mapping(name)
		if err != nil {
			// A user without subordinate ids is no missing requirement, unless root
			// has sent a user who was to have them.
			if os.Getenv("RL_TEST_REQUIRE") != "" && len(maps) == 1 {
				return 1, err
			}
			fmt.Printf("fstest: skipped: the map %s: %v\n", name, err)
			continue
		}
		c, err := inside(name, m)
		if err != nil {
			return 1, fmt.Errorf("map %s: %w", name, err)
		}
		code = max(code, c)
	}
	return code, nil
}

// settle makes the process what rl's monitor is: root of its namespaces, with
// mounts that stay its own.
func settle() error {
	unix.Umask(0)
	if err := waitForMaps(); err != nil {
		return err
	}
	if many, err := manyIDs(); err != nil {
		return err
	} else if many {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setresgid(0, 0, 0), syscall.Setresuid(0, 0, 0)); err != nil {
			return fmt.Errorf("becoming root of the namespace: %w", err)
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	return os.Unsetenv(stageVar)
}

// waitForMaps reads the pipe that the parent closes when the maps are written.
func waitForMaps() error {
	f := os.NewFile(3, "maps")
	word, err := io.ReadAll(f)
	if err == nil && string(word) != "go" {
		err = errors.New("the parent could not write the id maps")
	}
	return errors.Join(err, f.Close())
}

// again is this test binary once more, with its flags. It is executed by
// descriptor, because go test builds it where only its owner can look.
func again(stage string, files ...*os.File) (*exec.Cmd, error) {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	files = append(files, self)
	cmd := exec.Command("/proc/self/fd/"+strconv.Itoa(2+len(files)), flags(os.Args[1:])...)
	cmd.Args[0] = os.Args[0]
	cmd.ExtraFiles = files
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, stageVar+"=")
	}), stageVar+"="+stage)
	return cmd, nil
}

// flags drops those that name files, which the climb cannot share.
func flags(args []string) []string {
	var keep []string
	for _, a := range args {
		name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		switch name {
		case "test.testlogfile", "test.coverprofile", "test.gocoverdir", "test.outputdir", "test.cpuprofile", "test.memprofile", "test.trace":
			continue
		}
		keep = append(keep, a)
	}
	return keep
}

func wait(cmd *exec.Cmd) (int, error) {
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}
