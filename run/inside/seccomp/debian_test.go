package seccomp_test

import (
	"os"
	"path/filepath"
	"testing"
)

// TestDebian acts as a package manager and an administrator in a real Debian
// root, with the profile and the fake root in force, and without a network. It
// wants a tar of one, made by a true root (mmdebstrap --variant=minbase
// --format=tar bookworm FILE), in RL_TEST_DEBIAN_TAR.
func TestDebian(t *testing.T) {
	archive := os.Getenv("RL_TEST_DEBIAN_TAR")
	if archive == "" {
		t.Skip("no RL_TEST_DEBIAN_TAR: no Debian root to work in")
	}
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	unpack := rig{FakeRoot: "notify", Dir: root}
	// Its devices become empty files, its owners the one id.
	unpack.sh(t, "tar --numeric-owner -xpf "+archive+"; test -f dev/null -a ! -c dev/null; stat -c %u etc/shadow", "0")
	r := rig{FakeRoot: "notify", Profile: true, Root: root}
	for what, c := range map[string]struct{ script, want string }{
		"users": {`
			useradd -m -s /bin/sh alice; groupadd devs; usermod -aG devs,adm alice; echo alice:secret | chpasswd
			su alice -c 'id -u'; su - alice -c pwd; runuser -u alice -- id -g
			setpriv --reuid 1000 --regid 1000 --init-groups id -u; chroot --userspec=1000:1000 / id -u
			perl -e '$) = "5 5"; $( = 5; $< = $> = 5; die $! if $!; print "changed\n"'`,
			"0\n/home/alice\n0\n0\n0\nchanged"},
		"a package with foreign owners, devices and an owner-changing script": {`
			cd /tmp; mkdir -p p/DEBIAN p/opt/p; cd p
			printf 'Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m <m@example.org>\nDescription: d\n' >DEBIAN/control
			printf '#!/bin/sh -e\nadduser --system --group --quiet --no-create-home --home /opt/p pd\nchown -R pd:pd /opt/p\nchmod 2750 /opt/p\nchown root:adm /opt/p/f\ninstall -o pd -g pd -m 600 /dev/null /opt/p/key\n' >DEBIAN/postinst
			chmod 755 DEBIAN/postinst; echo x >opt/p/f; chown 33:33 opt/p/f; mknod opt/p/null c 1 3
			if ! command -v adduser >/dev/null; then sed -i 's/^adduser.*/useradd -r pd/' DEBIAN/postinst; fi
			dpkg-deb -b . ../p.deb >/dev/null; dpkg -i ../p.deb >/dev/null
			stat -c '%a %n' /opt/p /opt/p/key; dpkg -s p | grep ^Status; rm /opt/p/key; dpkg -P p >/dev/null; ls -d /opt/p 2>&1 || true`,
			"2750 /opt/p\n600 /opt/p/key\nStatus: install ok installed\nls: cannot access '/opt/p': No such file or directory"},
	} {
		t.Run(what, func(t *testing.T) { r.sh(t, c.script, c.want) })
	}
}
