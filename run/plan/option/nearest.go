package option

import "strings"

// Nearest is the candidate that was most likely meant by a mistyped word, or ""
// when none is near: for "did you mean". It counts insertions, deletions,
// replacements and swaps of neighbours (optimal string alignment, the bounded
// form of Damerau-Levenshtein), without regard to case, and allows one for every
// three letters (at least one). A word that only begins a single candidate counts as near to it.
func Nearest(word string, candidates []string) string {
	const longest = 64 // no name of ours is longer; bounds the work
	if word == "" || len(word) > longest {
		return ""
	}
	word = strings.ToLower(word)
	best, bestDistance := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		if len(c) > longest {
			continue
		}
		if d := distance(word, strings.ToLower(c), bestDistance); d < bestDistance && d < len(c) {
			best, bestDistance = c, d
		}
	}
	if best != "" || len(word) < 3 {
		return best
	}
	for _, c := range candidates {
		if strings.HasPrefix(strings.ToLower(c), word) {
			if best != "" {
				return ""
			}
			best = c
		}
	}
	return best
}

// distance is the number of edits between two words; bound or more means "too far".
func distance(a, b string, bound int) int {
	if d := len(a) - len(b); d >= bound || -d >= bound {
		return bound
	}
	// Three rows of the table are alive at a time: the last two and the new one.
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
