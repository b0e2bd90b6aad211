package vm

import (
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"rl/cmd/rl/harness"
)

//go:embed image.sh
var recipe []byte

// image is the directory with root.img, vmlinuz and initrd.img: from the cache,
// or made there, which takes a minute or two.
func image() (string, error) {
	sources := harness.AptSources()
	sum := sha256.New()
	sum.Write(recipe)
	for _, file := range sources {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		sum.Write(text)
	}
	if err := os.MkdirAll(harness.SystemCache, 0o755); err != nil {
		return "", err
	}
	entry := filepath.Join(harness.SystemCache, fmt.Sprintf("vm-%x", sum.Sum(nil)[:6]))
	lock, err := os.OpenFile(filepath.Join(harness.SystemCache, "vm.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(entry); err == nil {
		return entry, nil
	}
	return entry, build(entry, sources)
}

func build(entry string, sources []string) (err error) {
	tmp, err := os.MkdirTemp(harness.SystemCache, "making-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	script := filepath.Join(tmp, "image.sh")
	if err := os.WriteFile(script, recipe, 0o644); err != nil {
		return err
	}
	out := filepath.Join(tmp, "vm")
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	cmd := exec.Command("sh", append([]string{script, out}, sources...)...)
	cmd.Env = append(os.Environ(), "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("image of the machine: %w\n%s", err, said)
	}
	old, _ := filepath.Glob(filepath.Join(harness.SystemCache, "vm-*"))
	for _, dir := range old {
		os.RemoveAll(dir)
	}
	return os.Rename(out, entry)
}

// disk makes the second disk, which carries what is under test: rl, the agent and
// the images that scripts run.
func disk(file, scratch string) error {
	dir := filepath.Join(scratch, "disk")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	binary, err := harness.Binary()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for name, from := range map[string]string{"rl": binary, AgentName: self} {
		if out, err := exec.Command("cp", "--", from, filepath.Join(dir, name)).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	layout, err := harness.Layout("busybox")
	if err != nil {
		return err
	}
	img, err := harness.ReadLayout(layout)
	if err != nil {
		return err
	}
	if err := harness.DockerArchive(filepath.Join(dir, "busybox.tar"), "busybox:latest", img); err != nil {
		return err
	}
	if out, err := exec.Command("chmod", "-R", "a+rX", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if out, err := exec.Command("/sbin/mkfs.ext4", "-q", "-F", "-m", "0", "-d", dir, file, "256M").CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, out)
	}
	return nil
}
