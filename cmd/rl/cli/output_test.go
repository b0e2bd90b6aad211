package cli

import (
	"bytes"
	"strings"
	"testing"
)

// TestFormatDescription: what is inspected has the names of its fields in Go, and those of JSON.
func TestFormatDescription(t *testing.T) {
	type part struct {
		IP     string `json:"IPAddress"`
		Number int64
		Labels map[string]string
	}
	all := []any{struct {
		ID   string `json:"Id"`
		Big  int64  `json:"big"`
		Part part
		None []string
	}{"4711", 1 << 60, part{"10.0.0.1", 1 << 60, map[string]string{"a.b": "x\ty"}}, nil}}
	for text, want := range map[string]string{
		`{{.ID}}`:                                       "4711",
		`{{.ID}} {{.Id}}`:                               "", // as docker has it: the one or the other
		`{{.Id}} {{.big}} {{.Part.Number}}`:             "4711 1152921504606846976 1152921504606846976",
		`{{.Part.IPAddress}} {{.Part.IP}}`:              "",
		`{{.Part.IPAddress}}`:                           "10.0.0.1",
		`{{.Part.IP}} {{.Big}}`:                         "10.0.0.1 1152921504606846976",
		`{{json .Part}}`:                                `{"IPAddress":"10.0.0.1","Number":1152921504606846976,"Labels":{"a.b":"x\ty"}}`,
		`{{index .Part.Labels "a.b"}}{{.Id}}`:           "x\ty4711",
		`{{.Part.Labels.none}}`:                         "<no value>",
		`{{json .None}}{{with .id}}{{end}}`:             "",
		`{{json .None}} {{with .Id}}{{.}}{{end}}`:       "null 4711",
		`table {{.Id}}`:                                 "table 4711",
		`{{range $k, $v := .Part.Labels}}{{$k}}{{end}}`: "a.b",
		`{{.Nope}}`:                                     "",
		`{{.Part.Nope}}`:                                "",
	} {
		var out bytes.Buffer
		err := format(&out, text, all)
		switch got := strings.TrimSuffix(out.String(), "\n"); {
		case want == "" && (err == nil || got != "" || !strings.Contains(err.Error(), "map has no entry for key")):
			t.Errorf("%s: %q, %v, and no error", text, got, err)
		case want != "" && (err != nil || got != want):
			t.Errorf("%s: %q, not %q; %v", text, got, want, err)
		}
	}
}

// TestTemplateFuncs: docker's functions, also above a table.
func TestTemplateFuncs(t *testing.T) {
	type row struct {
		Name  string
		Words string `head:"THE WORDS"`
	}
	for text, want := range map[string]string{
		`{{json .Words}}`:                          `"<x> don't,élan"`,
		`{{split .Words ","}}`:                     "[<x> don't élan]",
		`{{join (split .Words ",") "+"}}`:          "<x> don't+élan",
		`{{title .Words}}`:                         "<X> Don'T,Élan",
		`{{upper .Words}} {{lower "AB"}}`:          "<X> DON'T,ÉLAN ab",
		`<{{pad .Name 1 2}}>`:                      "< web  >",
		`<{{pad "" 1 2}}>`:                         "<>",
		`{{truncate .Name 2}}`:                     "we",
		`{{truncate .Name 3}}{{truncate .Name 9}}`: "webweb",
		`{{truncate "aé" 2}}|{{truncate "é€" 4}}|{{truncate "é€" 5}}|{{truncate "é" 0}}`: "a|é|é€|",
		`{{println .Name "x"}}`:       "web x\n",
		`table {{lower .Name}}`:       "NAME\nweb",
		`table {{truncate .Words 3}}`: "THE WORDS\n<x>",
		`table {{pad .Name 2 0}}`:     "  NAME\n  web",
		`table {{json .Name}}`:        "NAME\n\"web\"",
		`{{pad .Name -1 0}}`:          "",
		`{{truncate .Name -1}}`:       "",
		`{{nothing .Name}}`:           "",
	} {
		var out bytes.Buffer
		err := format(&out, text, []row{{"web", "<x> don't,élan"}})
		got := strings.TrimSuffix(out.String(), "\n")
		if (want == "") != (err != nil) || want != "" && got != want {
			t.Errorf("%s: %q, not %q; %v", text, got, want, err)
		}
	}
}
