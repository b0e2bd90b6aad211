package option_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"rl/userns/sys/fault"
)

// row is a text and what it is read as: a value, or the errors that hold what
// the two strings say of the reason and of the hint.
type row[T any] struct {
	in        string
	want      T
	err, hint string
}

// table runs a parser over rows.
func table[T any](t *testing.T, parse func(string) (T, error), rows []row[T]) {
	t.Helper()
	for _, r := range rows {
		got, err := parse(r.in)
		if r.err == "" {
			if err != nil {
				t.Errorf("%q: error %v", r.in, err)
			} else if !reflect.DeepEqual(got, r.want) {
				t.Errorf("%q:\n got %+v\nwant %+v", r.in, got, r.want)
			}
			continue
		}
		checkError(t, r.in, err, r.err, r.hint)
		var zero T
		if !reflect.DeepEqual(got, zero) {
			t.Errorf("%q: a value beside the error: %+v", r.in, got)
		}
	}
}

// checkError holds every error of the package to the project's manners.
func checkError(t *testing.T, in string, err error, reason, hint string) {
	t.Helper()
	if err == nil {
		t.Errorf("%q: no error, want %q", in, reason)
		return
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Errorf("%q: not a fault: %v", in, err)
		return
	}
	text := err.Error()
	if !strings.Contains(text, reason) || !strings.Contains(f.Hint, hint) {
		t.Errorf("%q: error %q, hint %q; want %q and %q in them", in, text, f.Hint, reason, hint)
	}
	oneLine(t, err)
}

// oneLine holds for any error on any input.
func oneLine(t *testing.T, err error) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Errorf("not a fault: %v", err)
		return
	}
	text := err.Error()
	if strings.ContainsAny(text+f.Hint, "\n\r\x00\x1b") || strings.HasSuffix(text, ".") || len(text) > 2000 {
		t.Errorf("not one clean line: %q, hint %q", text, f.Hint)
	}
}
