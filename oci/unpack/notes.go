package unpack

import "fmt"

// maxNotes bounds what a layer can make us say.
const maxNotes = 8

// notes collects what could not be kept, each sentence once with its count.
type notes struct {
	order []string
	seen  map[string]*note
}

type note struct {
	count int
	first string
}

func (n *notes) add(text, name string) {
	if text == "" {
		return
	}
	if it := n.seen[text]; it != nil {
		it.count++
		return
	}
	if len(n.order) == maxNotes {
		return
	}
	if n.seen == nil {
		n.seen = map[string]*note{}
	}
	n.order = append(n.order, text)
	n.seen[text] = &note{1, name}
}

func (n *notes) list() []string {
	var out []string
	for _, text := range n.order {
		switch it := n.seen[text]; {
		case it.first == "":
			out = append(out, text)
		case it.count == 1:
			out = append(out, fmt.Sprintf("%s (%s)", text, brief(it.first)))
		default:
			out = append(out, fmt.Sprintf("%s (%s and %d more)", text, brief(it.first), it.count-1))
		}
	}
	return out
}
