package probe

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"rl/userns/idmap"
)

func (f *Facts) checkSubUIDs() Check {
	ids, from, err := f.SubUIDs()
	return f.checkSub("user", ids, from, err)
}

func (f *Facts) checkSubGIDs() Check {
	ids, from, err := f.SubGIDs()
	return f.checkSub("group", ids, from, err)
}

func (f *Facts) checkSub(kind string, ids []idmap.Span, from string, err error) Check {
	var c Choice
	if f.straight(&c) {
		return info("not needed: " + c.Reason)
	}
	c = Choice{}
	if !f.givenIDs(&c, kind, ids, from, err) {
		return missed(fmt.Sprintf("%d subordinate %s ids", total(ids), kind), c.Missed[0].Reason, c.Missed[0].Remedy)
	}
	var list []string
	for _, s := range ids {
		list = append(list, spanText(s))
	}
	return ok(fmt.Sprintf("%d subordinate %s ids: %s (%s)", total(ids), kind, strings.Join(list, ", "), from))
}

func (f *Facts) checkNewuidmap() Check { return checkTool(f.Newuidmap()) }
func (f *Facts) checkNewgidmap() Check { return checkTool(f.Newgidmap()) }

func checkTool(t Tool) Check {
	if t.Usable() {
		return ok(t.Path)
	}
	if t.Path == "" {
		return missed("not found", t.Problem, t.Remedy)
	}
	return missed(t.Path+" is of no use", t.Problem, t.Remedy)
}

// checkMapping writes the whole map with the helpers and then changes to a
// subordinate id: the proof of the second rung.
func (f *Facts) checkMapping() Check {
	var c Choice
	if f.straight(&c) {
		return info("not needed: " + c.Reason)
	}
	c = Choice{}
	if !f.subordinate(&c) {
		return missed("not tried", c.Missed[0].Reason, c.Missed[0].Remedy)
	}
	subu, _, _ := f.SubUIDs()
	subg, _, _ := f.SubGIDs()
	m, err := idmap.Subordinate(uint32(f.UID()), uint32(f.GID()), subu, subg)
	if err != nil {
		return missed("no map can be made of the ids", err.Error(), "")
	}
	o := f.h.Try(Trial{Name: "ids", Flags: unix.CLONE_NEWUSER, Mappers: [][]string{
		mapper(f.Newuidmap(), m.UIDs), mapper(f.Newgidmap(), m.GIDs),
	}})
	if o.Err == nil {
		return ok("newuidmap and newgidmap write the map, and its ids can be used")
	}
	if o.Step == "start" {
		why, remedy := f.explainUserns(o.Err)
		return missed("not tried: "+errText(o.Err), why, remedy)
	}
	return missed("the map cannot be used", o.Step+": "+o.Err.Error(),
		"check that newuidmap and newgidmap are setuid root, not on a nosuid mount, and let "+f.User()+" use the ranges")
}

func mapper(t Tool, r idmap.Ranges) []string {
	args := idmap.NewidmapArgs(0, r)
	return append([]string{t.Path, "PID"}, args[1:]...)
}

func (f *Facts) checkSetgroups() Check {
	if f.Setgroups() {
		return ok("allowed")
	}
	return missed("denied", "the user namespace around denies it, so only one identity is to be had", "make the outer namespace with newgidmap, not with unshare -r")
}
