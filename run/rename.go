package run

// Rename gives a container another name, whether it runs or not.
func (e *Engine) Rename(text, name string) error {
	rec, err := e.State.Find(text)
	if err != nil {
		return err
	}
	old := rec.Name
	if err := e.State.Rename(rec, name); err != nil {
		return err
	}
	e.tellOf(rec, "rename", "oldName", "/"+old)
	return nil
}
