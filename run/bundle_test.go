package run

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Everything of a spec for this system is in the document, under the same names.
func TestDocumentIsASpec(t *testing.T) {
	spec := &specs.Spec{Version: "1", Process: &specs.Process{Cwd: "/"}, Root: &specs.Root{Path: "r"}, Hostname: "h", Domainname: "d",
		Mounts: []specs.Mount{{Destination: "/m"}}, Hooks: &specs.Hooks{Poststop: []specs.Hook{{Path: "/p"}}},
		Annotations: map[string]string{"a": "b"}, Linux: &specs.Linux{CgroupsPath: "c"}}
	others := map[string]bool{"Solaris": true, "Windows": true, "VM": true, "ZOS": true, "FreeBSD": true}
	for i := range reflect.TypeOf(*spec).NumField() {
		name := reflect.TypeOf(*spec).Field(i).Name
		if zero := reflect.ValueOf(*spec).Field(i).IsZero(); zero != others[name] {
			t.Errorf("the test leaves %s at zero: %v", name, zero)
		}
	}
	data, err := json.Marshal(documentOf(spec))
	if err != nil {
		t.Fatal(err)
	}
	again := new(specs.Spec)
	if err := json.Unmarshal(data, again); err != nil || !reflect.DeepEqual(spec, again) {
		t.Errorf("%s became %+v, %v", data, again, err)
	}
}
