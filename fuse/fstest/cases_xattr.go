package fstest

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"
)

// Extended attributes.
func xattrCases() []Case {
	f := Layers{{
		File("f", "x").Xattr("user.a", "1").Xattr("user.b", "two"),
		Dir("d").Xattr("user.d", "dir"), Symlink("s", "f"),
		File("r", "x").Xattr("user.rootlesscontainers", "\x08\xe8\x07\x10\xe8\x07"),
	}}
	return []Case{
		{Name: "xattr/of a layer", Layers: f, run: func(c *C) {
			c.xattr("f", "user.a", "1")
			c.xattr("f", "user.b", "two")
			c.eq("list", listXattrs(c.p("f")), []string{"user.a", "user.b"})
		}},
		{Name: "xattr/of a directory of a layer", Layers: f, run: func(c *C) { c.xattr("d", "user.d", "dir") }},
		{Name: "xattr/user.rootlesscontainers survives", Layers: f, run: func(c *C) {
			c.xattr("r", "user.rootlesscontainers", "\x08\xe8\x07\x10\xe8\x07")
			c.append("r", "y")
			c.xattr("r", "user.rootlesscontainers", "\x08\xe8\x07\x10\xe8\x07")
		}},
		{Name: "xattr/missing", Layers: f, run: func(c *C) {
			_, err := getXattr(c.p("f"), "user.none")
			c.fails(err, unix.ENODATA)
			c.fails(unix.Removexattr(c.p("f"), "user.none"), unix.ENODATA)
		}},
		{Name: "xattr/XATTR_CREATE and XATTR_REPLACE", Layers: f, run: func(c *C) {
			c.fails(unix.Setxattr(c.p("f"), "user.a", []byte("x"), unix.XATTR_CREATE), unix.EEXIST)
			c.fails(unix.Setxattr(c.p("f"), "user.z", []byte("x"), unix.XATTR_REPLACE), unix.ENODATA)
			c.ok(unix.Setxattr(c.p("f"), "user.a", []byte("x"), unix.XATTR_REPLACE))
			c.xattr("f", "user.a", "x")
			c.xattr("f", "user.b", "two")
		}},
		{Name: "xattr/empty value", Layers: f, run: func(c *C) {
			c.ok(c.setxattr("f", "user.empty", ""))
			c.xattr("f", "user.empty", "")
		}},
		{Name: "xattr/binary value", Layers: f, run: func(c *C) {
			c.ok(c.setxattr("f", "user.bin", "\x00\xff\x00"))
			c.xattr("f", "user.bin", "\x00\xff\x00")
		}},
		{Name: "xattr/large value", Layers: f, run: func(c *C) {
			c.ok(c.setxattr("f", "user.large", strings.Repeat("v", 2000)))
			c.xattr("f", "user.large", strings.Repeat("v", 2000))
		}},
		{Name: "xattr/buffer that is too small", Layers: f, run: func(c *C) {
			_, err := unix.Getxattr(c.p("f"), "user.b", make([]byte, 1))
			c.fails(err, unix.ERANGE)
			n, err := unix.Getxattr(c.p("f"), "user.b", nil)
			c.ok(err)
			c.eq("size", n, 3)
		}},
		{Name: "xattr/none of user on symlinks", Layers: f, run: func(c *C) {
			c.fails(c.setxattr("s", "user.x", "y"), unix.EPERM, unix.EOPNOTSUPP)
			c.ok(unix.Setxattr(c.p("s"), "user.x", []byte("y"), 0)) // follows
			c.xattr("f", "user.x", "y")
		}},
		{Name: "xattr/by descriptor", Layers: f, run: func(c *C) {
			fd := c.open("f", unix.O_RDWR, 0)
			c.ok(unix.Fsetxattr(fd, "user.fd", []byte("1"), 0))
			c.xattr("f", "user.fd", "1")
			c.ok(unix.Fremovexattr(fd, "user.fd"))
			_, err := getXattr(c.p("f"), "user.fd")
			c.fails(err, unix.ENODATA)
		}},
		{Name: "xattr/removed is gone after copy-up of data", Layers: f, run: func(c *C) {
			c.ok(unix.Removexattr(c.p("f"), "user.a"))
			c.append("f", "+")
			c.eq("list", listXattrs(c.p("f")), []string{"user.b"})
		}},
		{Name: "xattr/follow a rename", Layers: f, run: func(c *C) {
			c.ok(c.rename("f", "g"))
			c.eq("list", listXattrs(c.p("g")), []string{"user.a", "user.b"})
		}},
		{Name: "xattr/unknown namespace", Layers: f, run: func(c *C) {
			c.fails(c.setxattr("f", "nonsense.x", "y"), unix.EOPNOTSUPP)
		}},
		{Name: "xattr/trusted is not for user namespaces", Layers: f, run: func(c *C) {
			c.fails(c.setxattr("f", "trusted.x", "y"), unix.EPERM)
		}},
		{Name: "xattr/of a file that may not be written", Layers: Layers{{File("f", "x").Mode(0o444)}}, need: asUser, run: func(c *C) {
			c.fails(c.setxattr("f", "user.x", "y"), unix.EACCES)
		}},
		{Name: "xattr/security.capability of a program", Layers: Layers{{File("f", "x").Mode(0o755)}}, need: asRoot, run: func(c *C) {
			c.ok(c.setxattr("f", "security.capability", netRaw))
			got, err := getXattr(c.p("f"), "security.capability")
			c.ok(err)
			c.yes("says cap_net_raw", len(got) >= 20 && got[4:8] == netRaw[4:8])
			c.append("f", "x") // writing takes it away, as it does the set-id bits
			_, err = getXattr(c.p("f"), "security.capability")
			c.fails(err, unix.ENODATA)
		}},
		{Name: "xattr/security.capability of a layer", Layers: Layers{{File("f", "x").Mode(0o755).Xattr("security.capability", netRaw)}}, run: func(c *C) {
			got, err := getXattr(c.p("f"), "security.capability")
			c.ok(err)
			c.yes("says cap_net_raw", len(got) >= 20 && got[4:8] == netRaw[4:8])
		}},
		{Name: "xattr/security.capability survives copy-up by chmod", Layers: Layers{{File("f", "x").Mode(0o755).Xattr("security.capability", netRaw)}}, need: asRoot, run: func(c *C) {
			c.ok(unix.Chmod(c.p("f"), 0o700))
			_, err := getXattr(c.p("f"), "security.capability")
			c.ok(err)
		}},
	}
}

// netRaw is struct vfs_cap_data, revision 2: permitted and effective cap_net_raw.
const netRaw = "\x01\x00\x00\x02" + "\x00\x20\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"

// ACLs are xattrs to the system, and permissions to everybody else.
func aclCases() []Case {
	access := acl(0o6, aclEntry{aclUser, 0o4, otherID}, 0o4, 0o6, 0)
	const name = "system.posix_acl_access"
	const dflt = "system.posix_acl_default"
	return []Case{
		{Name: "acl/set and read", Layers: Layers{{File("f", "x")}}, need: manyUIDs, run: func(c *C) {
			c.ok(c.setxattr("f", name, access))
			c.xattr("f", name, access)
			c.mode("f", 0o660) // the mask shows as the group's bits
		}},
		{Name: "acl/of a layer", Layers: Layers{{File("f", "x").Xattr(name, access).Mode(0o660)}}, need: manyUIDs, run: func(c *C) {
			c.xattr("f", name, access)
		}},
		{Name: "acl/survives copy-up", Layers: Layers{{File("f", "x").Xattr(name, access).Mode(0o660)}}, need: manyUIDs, run: func(c *C) {
			c.append("f", "y")
			c.xattr("f", name, access)
		}},
		{Name: "acl/gives access", Layers: Layers{{File("f", "x").Owner(0, 0).Xattr(name, acl(0o6, aclEntry{aclUser, 0o4, userID}, 0, 0o4, 0)).Mode(0o640)}}, need: asUser | manyUIDs, run: func(c *C) {
			c.content("f", "x")
			_, err := c.try("f", unix.O_WRONLY, 0)
			c.fails(err, unix.EACCES)
		}},
		{Name: "acl/takes access", Layers: Layers{{File("f", "x").Owner(0, 0).Xattr(name, acl(0o6, aclEntry{aclUser, 0, userID}, 0o4, 0o4, 0o4)).Mode(0o644)}}, need: asUser | manyUIDs, run: func(c *C) {
			_, err := c.try("f", unix.O_RDONLY, 0)
			c.fails(err, unix.EACCES)
		}},
		{Name: "acl/chmod changes the mask", Layers: Layers{{File("f", "x").Xattr(name, access).Mode(0o660)}}, need: manyUIDs, run: func(c *C) {
			c.ok(unix.Chmod(c.p("f"), 0o600))
			c.xattr("f", name, acl(0o6, aclEntry{aclUser, 0o4, otherID}, 0o4, 0, 0))
		}},
		{Name: "acl/default is inherited", Layers: Layers{{Dir("d")}}, need: manyUIDs, run: func(c *C) {
			c.ok(c.setxattr("d", dflt, acl(0o7, aclEntry{aclUser, 0o6, otherID}, 0o5, 0o7, 0)))
			c.write("d/f", "x")
			c.yes("the file has an ACL", len(listXattrs(c.p("d/f"))) == 1)
			c.mode("d/f", 0o640)
			c.mkdir("d/e")
			c.xattr("d/e", dflt, acl(0o7, aclEntry{aclUser, 0o6, otherID}, 0o5, 0o7, 0))
		}},
		{Name: "acl/default of a layer is inherited", Layers: Layers{{Dir("d").Xattr(dflt, acl(0o7, aclEntry{aclUser, 0o6, otherID}, 0o5, 0o7, 0))}}, need: manyUIDs, run: func(c *C) {
			c.write("d/f", "x")
			c.mode("d/f", 0o640)
		}},
		{Name: "acl/is not inherited by copy-up", Layers: Layers{{Dir("d").Xattr(dflt, acl(0o7, aclEntry{aclUser, 0o6, otherID}, 0o5, 0o7, 0)), File("d/f", "x").Mode(0o604)}}, need: manyUIDs, run: func(c *C) {
			had := len(listXattrs(c.p("d/f"))) // the layer's own maker inherited one
			c.append("d/f", "y")
			c.eq("number of xattrs", len(listXattrs(c.p("d/f"))), had)
			c.mode("d/f", 0o604)
		}},
		{Name: "acl/removed", Layers: Layers{{File("f", "x").Xattr(name, access).Mode(0o660)}}, need: manyUIDs, run: func(c *C) {
			c.ok(unix.Removexattr(c.p("f"), name))
			c.eq("xattrs", len(listXattrs(c.p("f"))), 0)
		}},
		{Name: "acl/nonsense is refused", Layers: Layers{{File("f", "x")}}, run: func(c *C) {
			c.fails(c.setxattr("f", name, "nonsense"), unix.EINVAL, unix.EOPNOTSUPP)
			c.fails(c.setxattr("f", dflt, acl(7, aclEntry{aclUser, 7, 0}, 7, 7, 7)), unix.EACCES, unix.EPERM)
		}},
	}
}

const (
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclMask     = 0x10
	aclOther    = 0x20
)

type aclEntry struct {
	tag, perm uint16
	id        uint32
}

// acl is the xattr form of an ACL with one named entry (linux/posix_acl_xattr.h).
func acl(owner uint16, named aclEntry, group, mask, other uint16) string {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	const none = ^uint32(0)
	for _, e := range []aclEntry{{aclUserObj, owner, none}, named, {aclGroupObj, group, none}, {aclMask, mask, none}, {aclOther, other, none}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return string(b)
}
