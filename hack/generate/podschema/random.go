package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// source writes random JSON that fits a Go type, spelled in odd ways.
type source struct {
	*rand.Rand
	// density is the chance of an optional member.
	density float64
}

func newSource(seed uint64) *source {
	return &source{Rand: rand.New(rand.NewPCG(seed, 27))}
}

func pick[T any](s *source, items ...T) T {
	return items[s.IntN(len(items))]
}

func (s *source) chance(p float64) bool {
	return s.Float64() < p
}

// randomVectors makes templates of moderate size; one in twenty holds something Go refuses.
func randomVectors(count int, seed uint64) []vector {
	s := newSource(seed)
	out := []vector{}
	for len(out) < count {
		s.density = pick(s, 0.05, 0.1, 0.2, 0.4)
		template := s.value(reflect.TypeFor[corev1.PodTemplateSpec](), 0)
		if len(template) < 100 || len(template) > 4000 {
			continue
		}
		if vector := vectorOf(template); vector.Data != "" || s.chance(0.05) {
			out = append(out, vector)
		}
	}
	return out
}

func (s *source) value(t reflect.Type, depth int) string {
	if s.chance(0.04) && depth > 0 {
		return "null"
	}
	switch t {
	case reflect.TypeFor[resource.Quantity]():
		return s.quantityJSON()
	case reflect.TypeFor[metav1.Time]():
		return pick(s, `"2026-07-01T10:20:30Z"`, `"2026-07-01T10:20:30.987+02:30"`, `"0001-01-01T00:00:00Z"`, `"1969-12-31T23:59:59-11:00"`)
	case reflect.TypeFor[intstr.IntOrString]():
		return pick(s, "0", "80", "-1", `""`, `"http"`, `"80"`, "2147483647")
	case reflect.TypeFor[metav1.FieldsV1]():
		return pick(s, "{}", `{"f:<a>":{".":{},"b":[1,2.50,1e3,1E-7,12345678901234567890]}}`)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.value(t.Elem(), depth)
	case reflect.String:
		return s.text()
	case reflect.Bool:
		return pick(s, "true", "false")
	case reflect.Int32:
		return pick(s, "0", "1", "-1", "-0", "30", "2147483647", "-2147483648", "420")
	case reflect.Int64:
		return pick(s, "0", "1", "-1", "-0", "30", "9223372036854775807", "-9223372036854775808", "9007199254740993", "1234567890123456789")
	case reflect.Slice:
		items := []string{}
		for range pick(s, 0, 1, 1, 2) {
			items = append(items, s.value(t.Elem(), depth+1))
		}
		return s.join("[", items, "]")
	case reflect.Map:
		items := map[string]string{}
		for range pick(s, 0, 1, 3) {
			items[pick(s, s.key(), s.text())] = s.value(t.Elem(), depth+1)
		}
		return s.object(items)
	case reflect.Struct:
		return s.structure(t, depth)
	}
	panic(fmt.Sprintf("no random value for %v", t))
}

func (s *source) structure(t reflect.Type, depth int) string {
	items := map[string]string{}
	all := members(t)
	density := s.density
	if depth > 6 {
		density /= 2
	}
	for _, member := range all {
		if s.chance(density) || depth < 2 && (member.name == "spec" || member.name == "containers") {
			items[`"`+member.name+`"`] = s.value(member.of, depth+1)
		}
	}
	if t == reflect.TypeFor[corev1.Volume]() {
		member := all[s.IntN(len(all))]
		items[`"`+member.name+`"`] = s.value(member.of, depth+1)
	}
	return s.object(items)
}

// object takes keys as JSON text; two spellings of one key are left out, for their order would count.
func (s *source) object(items map[string]string) string {
	lines := []string{}
	seen := map[string]bool{}
	keys := []string{}
	for key := range items {
		keys = append(keys, key)
	}
	// Go's map order is not ours to control; sort first, then shuffle with our own dice.
	sortStrings(keys)
	s.Shuffle(len(keys), func(a, b int) { keys[a], keys[b] = keys[b], keys[a] })
	for _, key := range keys {
		var plain string
		if json.Unmarshal([]byte(key), &plain) != nil || seen[plain] {
			continue
		}
		seen[plain] = true
		lines = append(lines, key+s.space()+":"+s.space()+items[key])
	}
	return s.join("{", lines, "}")
}

func (s *source) join(open string, items []string, end string) string {
	return open + s.space() + strings.Join(items, s.space()+","+s.space()) + s.space() + end
}

func (s *source) space() string {
	return pick(s, "", "", "", "", "", "", " ", "\n\t")
}

func (s *source) key() string {
	return pick(s, `"app"`, `"b"`, `"a.b/c-d"`, `"cpu"`, `"memory"`, `"Z"`, `"~"`)
}

func (s *source) text() string {
	pieces := []string{"a", "Zz", "0", "-", "/", `\/`, "<", ">", "&", `\u003c`, "\u2028", `\u2029`, "é", `\u00e9`, "😀", `\ud83d\ude00`,
		`\n`, `\r`, `\t`, `\b`, `\f`, `\u0000`, `\u001f`, "\u007f", "\u0085", `\"`, `\\`, "$patch", "\uffff", " "}
	var out strings.Builder
	for range pick(s, 0, 1, 2, 5) {
		out.WriteString(pick(s, pieces...))
	}
	return `"` + out.String() + `"`
}

func (s *source) quantityJSON() string {
	switch s.IntN(10) {
	case 0:
		return pick(s, "0", "1", "2", "-1", "1000", "0.1", "0.5", "1.5", "128974848", "1e+21", "1e-07")
	case 1:
		return `" ` + s.quantity() + ` "`
	}
	return `"` + s.quantity() + `"`
}
