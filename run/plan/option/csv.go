package option

import "strings"

// splitCSV splits one line of comma-separated values as encoding/csv does, which
// is what docker reads --mount with: a field that begins with a quote ends with
// one, has commas inside, and doubles its quotes; a quote elsewhere is an error.
func splitCSV(s string) (fields []string, why string) {
	for {
		if !strings.HasPrefix(s, `"`) {
			field, rest, more := strings.Cut(s, ",")
			if strings.Contains(field, `"`) {
				return nil, "a quote within a field: quote the whole field, as in \"src=/a,b\""
			}
			fields = append(fields, field)
			if !more {
				return fields, ""
			}
			s = rest
			continue
		}
		var field strings.Builder
		s = s[1:]
		for {
			text, rest, ok := strings.Cut(s, `"`)
			if !ok {
				return nil, "a quote that is never closed"
			}
			field.WriteString(text)
			if s = rest; !strings.HasPrefix(s, `"`) {
				break
			}
			field.WriteByte('"')
			s = s[1:]
		}
		fields = append(fields, field.String())
		if s == "" {
			return fields, ""
		}
		if s[0] != ',' {
			return nil, "text between a closing quote and the next comma"
		}
		s = s[1:]
	}
}

// joinCSV is the inverse of splitCSV.
func joinCSV(fields []string) string {
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		if strings.ContainsAny(f, "\",") {
			b.WriteByte('"')
			b.WriteString(strings.ReplaceAll(f, `"`, `""`))
			b.WriteByte('"')
			continue
		}
		b.WriteString(f)
	}
	return b.String()
}
