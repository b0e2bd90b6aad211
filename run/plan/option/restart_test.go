package option

import "testing"

func TestParseRestart(t *testing.T) {
	for text, want := range map[string]Restart{
		"":               {},
		"no":             {Policy: "no"},
		"always":         {Policy: "always"},
		"always:0":       {Policy: "always"},
		"unless-stopped": {Policy: "unless-stopped"},
		"on-failure":     {Policy: "on-failure"},
		"on-failure:0":   {Policy: "on-failure"},
		"on-failure:7":   {Policy: "on-failure", Max: 7},
	} {
		got, err := ParseRestart(text)
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"never", ":3", "Always", "always:3", "no:1", "on-failure:", "on-failure:-1", "on-failure:x", "on-failure:1:2", "unless-stopped:2"} {
		if got, err := ParseRestart(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}
