// Command podschema prints what Go's encoder does with a PodTemplateSpec of Kubernetes 1.32, the
// version behind OpenKruise v1.9: per struct its members with kind and omission rule. The Rust codec
// of ControllerRevision data reads this table. With the argument "vectors" it prints test vectors:
// templates as users write them and the bytes that Go makes of them.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var (
	quantity = reflect.TypeOf(resource.Quantity{})
	timeType = reflect.TypeOf(metav1.Time{})
	intOrStr = reflect.TypeOf(intstr.IntOrString{})
	fieldsV1 = reflect.TypeOf(metav1.FieldsV1{})
	seen     = map[string]reflect.Type{}
)

// kind is the grammar of the table: s string, b bool, i int32, I int64, f float, q quantity, t time, x int-or-string,
// r raw bytes, @Name struct, [kind list, {kind map with string keys.
func kind(t reflect.Type) string {
	switch t {
	case quantity:
		return "q"
	case timeType:
		return "t"
	case intOrStr:
		return "x"
	case fieldsV1:
		return "r"
	}
	switch t.Kind() {
	case reflect.String:
		return "s"
	case reflect.Bool:
		return "b"
	case reflect.Int32:
		return "i"
	case reflect.Int64:
		return "I"
	case reflect.Float32, reflect.Float64:
		return "f"
	case reflect.Ptr:
		return kind(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "r"
		}
		return "[" + kind(t.Elem())
	case reflect.Map:
		return "{" + kind(t.Elem())
	case reflect.Struct:
		if _, known := seen[t.Name()]; !known {
			seen[t.Name()] = t
			members(t)
		}
		return "@" + t.Name()
	}
	panic(fmt.Sprintf("no kind for %v", t))
}

// members lists `name:kind:omission`: omission is - (always written), o (omitted if empty), p (pointer, omitted if nil),
// P (pointer, null if nil).
func members(t reflect.Type) []string {
	var out []string
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		tag := strings.Split(f.Tag.Get("json"), ",")
		if tag[0] == "-" {
			continue
		}
		if f.Anonymous && tag[0] == "" {
			out = append(out, members(f.Type)...)
			continue
		}
		omit := false
		for _, option := range tag[1:] {
			omit = omit || option == "omitempty"
		}
		mark := "-"
		switch pointer := f.Type.Kind() == reflect.Ptr; {
		case pointer && omit:
			mark = "p"
		case pointer:
			mark = "P"
		// encoding/json never omits a struct, omitempty or not.
		case omit && f.Type.Kind() != reflect.Struct:
			mark = "o"
		}
		out = append(out, tag[0]+":"+kind(f.Type)+":"+mark)
	}
	return out
}

func schema() {
	kind(reflect.TypeOf(corev1.PodTemplateSpec{}))
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Println(name + " " + strings.Join(members(seen[name]), " "))
	}
}

// encode is what OpenKruise v1.9 stores: typed, then generic, then with sorted keys.
func encode(template string) (string, error) {
	var typed corev1.PodTemplateSpec
	if err := json.Unmarshal([]byte(template), &typed); err != nil {
		return "", err
	}
	raw, err := json.Marshal(typed)
	if err != nil {
		return "", err
	}
	var generic map[string]any
	if err := json.Unmarshal(raw, &generic); err != nil {
		return "", err
	}
	generic["$patch"] = "replace"
	data, err := json.Marshal(map[string]any{"spec": map[string]any{"template": generic}})
	return string(data), err
}

func vectors() {
	var templates []json.RawMessage
	input, err := os.ReadFile("templates.json")
	if err == nil {
		err = json.Unmarshal(input, &templates)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	type vector struct {
		Template string `json:"template"`
		Data     string `json:"data,omitempty"`
		Error    bool   `json:"error,omitempty"`
	}
	out := []vector{}
	for _, template := range templates {
		data, err := encode(string(template))
		out = append(out, vector{string(template), data, err != nil})
	}
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(out); err != nil {
		panic(err)
	}
	os.Stdout.Write(buffer.Bytes())
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "vectors" {
		vectors()
		return
	}
	schema()
}
