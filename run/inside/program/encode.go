package program

// Encode writes the program as bytes: numbers in 8 bytes little endian, strings
// and lists behind their length.
func (p *Program) Encode() []byte {
	w := writer{buf: make([]byte, 0, 8<<10)}
	p.walk(&w)
	return w.buf
}

// Decode reads what Encode wrote; ok is false when the bytes end early or go on
// too long, or a length makes no sense.
func Decode(b []byte) (p *Program, ok bool) {
	p = new(Program)
	r := reader{buf: b}
	p.walk(&r)
	return p, !r.bad && len(r.buf) == 0
}

// codec visits every field in one order, to write it or to read it.
type codec interface {
	num(*uint64)
	str(*string)
	count(int) int
}

func (p *Program) walk(c codec) {
	for _, s := range []*string{&p.Root, &p.Hostname, &p.Domainname, &p.User, &p.Cwd, &p.HookState} {
		c.str(s)
	}
	for _, b := range []*bool{&p.LoopbackUp, &p.ReadOnly, &p.SingleID, &p.NoNewPriv, &p.SetOOM, &p.Terminal, &p.Reaper, &p.KeepGroups, &p.SetUmask, &p.CgroupNS} {
		flag(c, b)
	}
	for _, n := range []*uint32{&p.Umask, &p.Rows, &p.Cols, &p.FilterFlags, &p.FakeFlags} {
		u32(c, n)
	}
	oom := uint32(p.OOMScore)
	u32(c, &oom)
	p.OOMScore = int32(oom)
	c.num(&p.Caps)
	c.num(&p.Join)
	for _, l := range []*[]string{&p.Groups, &p.Argv, &p.Env} {
		list(c, l, func(s *string) { c.str(s) })
	}
	for _, b := range []*[]byte{&p.Filter, &p.FakeRoot, &p.FakePlain} {
		s := string(*b)
		c.str(&s)
		*b = []byte(s)
	}
	for _, hooks := range []*[]Hook{&p.CreateContainer, &p.StartContainer} {
		list(c, hooks, func(h *Hook) {
			c.str(&h.Path)
			for _, l := range []*[]string{&h.Args, &h.Env} {
				list(c, l, func(s *string) { c.str(s) })
			}
			u32(c, &h.Timeout)
		})
	}
	list(c, &p.Rlimits, func(l *Rlimit) {
		c.str(&l.Name)
		res := uint64(l.Resource)
		c.num(&res)
		l.Resource = int(res)
		c.num(&l.Soft)
		c.num(&l.Hard)
	})
	list(c, &p.Ops, func(o *Op) {
		kind := uint64(o.Kind)
		c.num(&kind)
		o.Kind = Kind(kind)
		u32(c, &o.Opts)
		u32(c, &o.Mode)
		c.num(&o.Flags)
		c.num(&o.Prop)
		for _, s := range []*string{&o.Source, &o.Target, &o.Type, &o.Data} {
			c.str(s)
		}
	})
}

func flag(c codec, b *bool) {
	var n uint64
	if *b {
		n = 1
	}
	c.num(&n)
	*b = n == 1
}

func u32(c codec, v *uint32) {
	n := uint64(*v)
	c.num(&n)
	*v = uint32(n)
}

func list[T any](c codec, l *[]T, each func(*T)) {
	n := c.count(len(*l))
	if n > len(*l) {
		*l = make([]T, n)
	}
	for i := range *l {
		each(&(*l)[i])
	}
}

type writer struct{ buf []byte }

func (w *writer) num(n *uint64) {
	for i := range 8 {
		w.buf = append(w.buf, byte(*n>>(8*i)))
	}
}

func (w *writer) str(s *string) {
	w.count(len(*s))
	w.buf = append(w.buf, *s...)
}

func (w *writer) count(n int) int {
	u := uint64(n)
	w.num(&u)
	return n
}

type reader struct {
	buf []byte
	bad bool
}

func (r *reader) num(n *uint64) {
	if r.bad || len(r.buf) < 8 {
		r.bad = true
		*n = 0
		return
	}
	*n = 0
	for i := range 8 {
		*n |= uint64(r.buf[i]) << (8 * i)
	}
	r.buf = r.buf[8:]
}

func (r *reader) str(s *string) {
	n := r.count(0)
	*s = string(r.buf[:n])
	r.buf = r.buf[n:]
}

// count reads a length; no list or string is longer than the bytes that are left.
func (r *reader) count(int) int {
	var n uint64
	r.num(&n)
	if n > uint64(len(r.buf)) {
		r.bad = true
		return 0
	}
	return int(n)
}
