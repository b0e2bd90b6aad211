package state

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// generateName makes up a name in docker's manner: an adjective and somebody who
// is worth remembering. Tries beyond the first few carry a number.
func generateName(try int) string {
	pick := func(words string) string {
		w := strings.Fields(words)
		return w[rand.IntN(len(w))]
	}
	name := pick(adjectives) + "_" + pick(people)
	if try > 3 {
		name += strconv.Itoa(rand.IntN(1000))
	}
	return name
}

const adjectives = `able amber bold brave bright brisk calm clever cosy crisp daring eager early fair fast fine firm fleet
fond frank free fresh gentle glad golden good grand great happy hardy honest humble jolly keen kind light lively loyal lucid
lucky merry mild mighty modest neat nimble noble patient plain polite proud quick quiet rapid ready rosy sharp silent simple
smart snug solid sound spry stable steady still strong subtle sunny sure swift tidy trusty vivid warm wise witty young zesty`

const people = `abel agnesi archimedes babbage bardeen bell bohr boole borg cannon cantor carson cerf clarke codd cray curie
darwin dijkstra easley einstein engelbart erdos euclid euler faraday fermat fermi feynman franklin galileo galois gauss germain
goldberg goodall hamilton hawking hertz hodgkin hoover hopper hypatia johnson kalam keller kepler kilby knuth kowalevski lamarr
leavitt liskov lovelace maxwell mayer mccarthy meitner mendel mirzakhani moore morse napier nash neumann newton nobel noether
noyce pascal pasteur payne perlman planck poincare ramanujan ride ritchie rubin sammet shannon shaw sinoussi stallman swartz
tesla thompson torvalds turing tu vaughan volta wiles wilson wing wozniak wright wu yalow yonath`
