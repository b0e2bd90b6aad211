package run

import (
	"context"
	"errors"

	"rl/oci"
	"rl/run/state"
)

// PruneContainers removes the containers that do not run and that are wanted removed, those
// with a damaged record when damaged is set. It gives their ids, and how much they had written.
func (e *Engine) PruneContainers(want func(*state.Record, state.Status) bool, damaged bool) (ids []string, bytes int64, err error) {
	list, broken, err := e.State.List()
	if err != nil {
		return nil, 0, err
	}
	var ended []*state.Record
	for _, rec := range list {
		if s, err := e.Status(rec); err == nil && !s.Running && want(rec, s) {
			ended = append(ended, rec)
		}
	}
	if damaged {
		for _, id := range broken {
			if !e.State.Running(id) {
				ended = append(ended, &state.Record{ID: id})
			}
		}
	}
	sizes := e.ContainerSizes(ended)
	var errs []error
	for _, rec := range ended {
		if err := e.Remove(rec.ID, false, false); err != nil {
			errs = append(errs, err)
			continue
		}
		ids = append(ids, rec.ID)
		bytes += sizes[rec.ID].Size
	}
	return ids, bytes, errors.Join(errs...)
}

// PruneImages removes the images that no container was made of and that are wanted removed,
// and gives how much that freed.
func (e *Engine) PruneImages(ctx context.Context, want func(*oci.Image) bool) (done Removed, bytes int64, err error) {
	all, err := e.Store.Images()
	if err != nil {
		return done, 0, err
	}
	before := new(Usage)
	if err := e.imageUsage(before); err != nil {
		return done, 0, err
	}
	used := map[string]bool{}
	for _, i := range before.Images {
		used[i.ID.String()] = i.Containers > 0
	}
	var errs []error
	for _, img := range all {
		if used[img.ID.String()] || !want(img) {
			continue
		}
		name := img.Name
		if name == "" {
			name = img.ID.String()
		}
		r, err := e.RemoveImage(ctx, name, false)
		if r != nil {
			done.Untagged, done.Deleted = append(done.Untagged, r.Untagged...), append(done.Deleted, r.Deleted...)
		}
		errs = append(errs, err)
	}
	after := new(Usage)
	errs = append(errs, e.imageUsage(after))
	return done, before.imageBytes() - after.imageBytes(), errors.Join(errs...)
}

func (u *Usage) imageBytes() int64 {
	n := u.Shared
	for _, i := range u.Images {
		n += i.Unique
	}
	return n
}
