#!/bin/sh
# Makes the machine that the tests boot, in the directory $1: root.img (a Debian 12
# with systemd, as it is installed but for what only hardware wants), vmlinuz and
# initrd. As root; wants mmdebstrap, mkfs.ext4 and a static busybox. Further
# arguments are mmdebstrap's: the package sources.
set -eu
cd "$1"
dir=$PWD
shift
root=$dir/root
packages=linux-image-amd64,systemd,systemd-sysv,udev,dbus,dbus-user-session,libpam-systemd,uidmap,procps,iproute2,kmod,cron,busybox-static
# The initrd is our own, below: Debian's takes a minute to make.
INITRD=No TMPDIR=$dir mmdebstrap --quiet --mode=root --variant=minbase --format=directory \
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
	--include=$packages bookworm "$root" "$@"
for script in "$root"/boot/vmlinuz-*; do version=${script##*/vmlinuz-}; done
mv "$root/boot/vmlinuz-$version" "$dir/vmlinuz"

# 400 MB of drivers for hardware that this machine does not have.
modules=$root/lib/modules/$version
rm -rf "$modules/kernel/sound"
find "$modules/kernel/drivers" -mindepth 1 -maxdepth 1 ! -name block ! -name char ! -name virtio ! -name net -exec rm -rf {} +
find "$modules/kernel/drivers/net" -mindepth 1 -maxdepth 1 -type d -exec rm -rf {} +
chroot "$root" depmod "$version"

# The users of the tests, by the names they have on every machine. Nobody is
# asked for a password: su by root does not.
for user in rlsub rlone; do
	chroot "$root" useradd --create-home --shell /bin/bash $user
done
for file in subuid subgid; do
	echo rlsub:100000:65536 >"$root/etc/$file"
done

echo rl-test >"$root/etc/hostname"
echo 127.0.0.1 localhost rl-test >"$root/etc/hosts"
echo 5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e >"$root/etc/machine-id"
cat >"$root/etc/fstab" <<-EOF
	/dev/vda / ext4 errors=remount-ro 0 0
	/dev/vdb /test ext4 ro 0 0
EOF
mkdir "$root/test"
ln -s /test/rl "$root/usr/local/bin/rl"
cat >"$root/etc/systemd/system/rl-test.service" <<-EOF
	[Unit]
	Description=runs what the test outside asks for
	RequiresMountsFor=/test
	After=multi-user.target systemd-user-sessions.service
	[Service]
	ExecStart=/test/agent
	StandardOutput=journal+console
	StandardError=journal+console
	# A login leaves this service's control group; what is run without one stays.
	KillMode=process
	[Install]
	WantedBy=multi-user.target
EOF
# After a logout without lingering the user's manager ends at once, not in 10 s.
mkdir -p "$root/etc/systemd/logind.conf.d"
printf '[Login]\nUserStopDelaySec=0\n' >"$root/etc/systemd/logind.conf.d/test.conf"
chroot "$root" systemctl --quiet enable rl-test.service
# Nobody sits at this machine, and nothing is to run behind the test's back.
for unit in getty@tty1.service serial-getty@ttyS0.service getty-static.service apt-daily.timer apt-daily-upgrade.timer \
	dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service systemd-networkd.service; do
	chroot "$root" systemctl --quiet mask $unit
done
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*

# An initrd that knows this machine's disk, and no more.
mkdir -p "$dir/initrd/bin" "$dir/initrd/dev" "$dir/initrd/proc" "$dir/initrd/root"
cp "$root/bin/busybox" "$dir/initrd/bin/busybox"
load=
add() { # a module, after those that it depends on
	files=$(awk -F: -v "end=/$1.ko" 'substr($1, length($1) - length(end) + 1) == end {
		for (i = split($2, needs, " "); i > 0; i--) print needs[i]
		print $1
	}' "$modules/modules.dep")
	for file in $files; do
		name=${file##*/}
		case " $load " in *" $name "*) continue ;; esac
		cp "$modules/$file" "$dir/initrd/$name"
		load="$load $name"
	done
}
for module in virtio_pci virtio_blk crc32c_generic ext4; do add $module; done
{
	echo '#!/bin/busybox sh'
	echo 'busybox mount -t devtmpfs dev /dev'
	for name in $load; do echo "busybox insmod /$name"; done
	echo 'busybox mount -t ext4 -o rw /dev/vda /root'
	echo 'busybox umount /dev'
	echo 'exec busybox switch_root /root /sbin/init'
} >"$dir/initrd/init"
chmod 755 "$dir/initrd/init"
(cd "$dir/initrd" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 >../initrd.img)

truncate -s 4G "$dir/root.img"
mkfs.ext4 -q -F -m 0 -L root -d "$root" "$dir/root.img"
rm -rf "$root" "$dir/initrd"
