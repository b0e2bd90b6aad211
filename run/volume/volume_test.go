package volume

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func store(t *testing.T) Store {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	return Store(root)
}

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{
		"data": true, "a.b-c_d": true, "0a": true, strings.Repeat("a", 255): true, NewName(): true,
		"": false, "a": false, ".": false, "..": false, "a/b": false, "../x": false, "-x": false, "_x": false, ".x": false, "a b": false,
		"a\x00b": false, "é1": false, strings.Repeat("a", 256): false,
	} {
		if err := CheckName(name); (err == nil) != good {
			t.Errorf("%.20q: %v", name, err)
		}
		if _, err := store(t).Get(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("%.20q in an empty store: %v", name, err)
		}
	}
}

func TestCreatedOnce(t *testing.T) {
	s := store(t)
	var made atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			v, created, err := s.Create("data", map[string]string{"k": "v"})
			if err != nil || v.Name != "data" || v.Labels["k"] != "v" {
				t.Errorf("%+v, %v", v, err)
			}
			if created {
				made.Add(1)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times", made.Load())
	}
	if left, _ := os.ReadDir(filepath.Join(string(s), "tmp")); len(left) != 0 {
		t.Errorf("litter: %v", left)
	}
	if st, err := os.Stat(s.Data("data")); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", st, err)
	}
}

// A volume is there for as long as somebody uses it, who said so while holding it; and when
// nobody does, it can be taken.
func TestHeldAreNotTaken(t *testing.T) {
	s := store(t)
	var mu sync.Mutex
	using := map[string]int{}
	users := func(names []string) (map[string][]string, error) {
		mu.Lock()
		defer mu.Unlock()
		busy := map[string][]string{}
		for _, n := range names {
			if using[n] > 0 {
				busy[n] = []string{"somebody"}
			}
		}
		return busy, nil
	}
	change := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		using["aa"] += n
		using["bb"] += n
	}
	var wg, takers sync.WaitGroup
	stop := make(chan struct{})
	var taken atomic.Int32
	for _, names := range [][]string{{"aa", "bb"}, {"bb", "aa"}, {"bb"}} {
		takers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := s.Take(names, users, nil)
				if err != nil {
					t.Error(err)
					return
				}
				taken.Add(int32(len(got.Names)))
			}
		})
	}
	for i := range 4 {
		wg.Go(func() {
			for range 100 {
				wants := []Want{{Name: "aa"}, {Name: "bb"}}
				if i%2 == 0 {
					wants[0], wants[1] = wants[1], wants[0]
				}
				release, err := s.Hold(wants)
				if err != nil {
					t.Error(err)
					return
				}
				change(1)
				release()
				for _, n := range []string{"aa", "bb"} {
					if _, err := os.Stat(s.Data(n)); err != nil {
						t.Error(err)
					}
				}
				change(-1)
			}
		})
	}
	wg.Wait()
	close(stop)
	takers.Wait()
	if got, err := s.Take([]string{"aa", "bb"}, users, nil); err != nil || len(got.Busy) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if list, err := s.List(); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if taken.Load() == 0 {
		t.Log("no taker came between: the volumes were always in use")
	}
}

func TestAbsent(t *testing.T) {
	s := store(t)
	gone := errors.New("gone")
	if _, err := s.Hold([]Want{{Name: NewName(), Absent: gone}}); !errors.Is(err, gone) {
		t.Error(err)
	}
	name := NewName()
	if _, _, err := s.Create(name, map[string]string{Anonymous: ""}); err != nil {
		t.Fatal(err)
	}
	if s.Shared(name) {
		t.Error("a new volume is shared")
	}
	release, err := s.Hold([]Want{{Name: name, Absent: gone}})
	if err != nil {
		t.Fatal(err)
	}
	release()
	if !s.Shared(name) {
		t.Error("who else used the volume is not known")
	}
}

// Whatever a killed one left, the next has a volume that is whole.
func TestFill(t *testing.T) {
	image := filepath.Join(t.TempDir(), "image")
	write(t, image, "a", "image")
	write(t, image, "sub/b", "image")
	if err := os.Chmod(image, 0o750); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data, filling, filled []string
		source                string
		want                  string
	}{
		"empty":              {source: image, want: "a=image sub/b=image"},
		"nothing to fill":    {want: ""},
		"has something":      {data: []string{"x"}, source: image, want: "x=data"},
		"half copied":        {filling: []string{"half"}, source: image, want: "a=image sub/b=image"},
		"half copied, other": {filling: []string{"half"}, want: ""},
		"whole":              {filled: []string{"a", "x"}, source: image, want: "a=filled x=filled"},
		"whole, other":       {filled: []string{"a"}, want: "a=filled"},
		"half moved":         {data: []string{"a"}, filled: []string{"a", "sub/x"}, want: "a=data sub/x=filled"},
		"all moved":          {data: []string{"a"}, filled: []string{}, want: "a=data"},
	} {
		s := store(t)
		if _, _, err := s.Create("vol", nil); err != nil {
			t.Fatal(err)
		}
		dir := s.Dir("vol")
		for sub, names := range map[string][]string{"_data": c.data, "filling": c.filling, "filled": c.filled} {
			if names != nil {
				if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for _, n := range names {
				write(t, filepath.Join(dir, sub), n, strings.TrimPrefix(sub, "_"))
			}
		}
		if err := Fill(dir, c.source); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := content(t, DataIn(dir)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if pending(dir) {
			t.Errorf("%s: it is not over", name)
		}
		if name == "empty" {
			if st, err := os.Stat(DataIn(dir)); err != nil || st.Mode().Perm() != 0o750 {
				t.Errorf("the mode is %v, %v", st.Mode(), err)
			}
		}
	}
}

// All who fill at once find it whole afterwards.
func TestFillTogether(t *testing.T) {
	image := t.TempDir()
	for _, n := range strings.Fields("a b c d/e d/f g/h/i j k l m n o p") {
		write(t, image, n, "image")
	}
	want := content(t, image)
	s := store(t)
	if _, _, err := s.Create("vol", nil); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := Fill(s.Dir("vol"), image); err != nil {
				t.Error(err)
			}
			if got := content(t, s.Data("vol")); got != want {
				t.Errorf("%q", got)
			}
		})
	}
	wg.Wait()
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// content lists all files with what is in them.
func content(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		all = append(all, rel+"="+string(data))
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return strings.Join(all, " ")
}
