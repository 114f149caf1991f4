package main

import (
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

func sortStrings(items []string) { sort.Strings(items) }

// spelling is a quantity as written, as Go writes it (empty if Go refuses it), and how it compares with
// the one before it that Go accepts.
type spelling struct {
	Text      string `json:"text"`
	Canonical string `json:"canonical,omitempty"`
	Order     int    `json:"order"`
}

var oddQuantities = strings.Split("|0|-0|+0|00|0.0|.|-|+|m|Ki|e3|-.|.5|5.|-.5|+.5Ki|.Ki|.5n|.e-10|.0e-10|1|+1|-1|01|+01|-001Ki|1.0|1.500|1.50|1.500k|0.500|1000|1000m|100000m|1024Ki|"+
	"1023Ki|1000Ki|8Ki|9Ki|0.5Gi|1.5Gi|0.5Ki|0.0001Ki|1.1Ki|1e|1E|1E0|1e0|1e3|1E3|1e+3|1e-3|1e+-3|1e1|1e2|1e-1|1e-9|1e-10|1e-12|1.5e-9|12e6|1500e-3|1e100|1e4294967296|"+
	"1n|0.1n|0.5n|1.5n|1u|1M|1G|1T|1P|1E|1000E|1001E|10E|1e21|1Ei|7Ei|8Ei|9Ei|-9Ei|1Pi|1023Pi|1Ti|99Ti|100Ti|0.1Ei|0.123456789012345678901Ei|"+
	"9223372036854775807|9223372036854775808|-9223372036854775808|99999999999999999999|999999999999999999|1000000000000000000|123456789012345678901234567890|"+
	"1.23456789012345678901234567890|0.000000001|0.0000000001|-0.0000000001|999999999.9999999999|1.000000000000000000000|1 |1 Gi| 1|1.2.3|1Kii|1ki|1K|1KI|1mi|1k3|0x1|1_000|1e1_0|NaN|Inf|٣|--1|+-1|1-|1m-", "|")

// quantity spells a random quantity.
func (s *source) quantity() string {
	digits := func(most int) string {
		var out strings.Builder
		for range s.IntN(most + 1) {
			out.WriteString(pick(s, "0", "0", "1", "2", "4", "5", "8", "9"))
		}
		return out.String()
	}
	whole := digits(pick(s, 2, 4, 8, 22))
	if whole == "" && !s.chance(0.1) {
		whole = pick(s, "0", "1", "3", "512", "1024")
	}
	fraction := ""
	if s.chance(0.3) {
		fraction = "." + digits(pick(s, 1, 3, 12, 24))
	}
	suffix := pick(s, "", "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
		"e"+pick(s, "", "+", "-")+pick(s, "0", "1", "2", "3", "6", "9", "14", "30"), "E3")
	return pick(s, "", "", "", "", "-", "+") + whole + fraction + suffix
}

// writeQuantities prints the hand-picked spellings and some random ones.
func writeQuantities(random int, seed uint64) error {
	s := newSource(seed)
	texts := oddQuantities
	for range random {
		texts = append(texts, s.quantity())
	}
	out := []spelling{}
	before := resource.MustParse("0")
	for _, text := range texts {
		parsed, err := resource.ParseQuantity(text)
		if err != nil {
			out = append(out, spelling{Text: text})
			continue
		}
		out = append(out, spelling{text, parsed.String(), parsed.Cmp(before)})
		before = parsed
	}
	return print(out)
}
