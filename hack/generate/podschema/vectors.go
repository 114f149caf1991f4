package main

import (
	"encoding/json"
	"os"

	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"
)

// vector is a template and what Go makes of it; without data, Go refuses it.
type vector struct {
	Template string `json:"template"`
	Data     string `json:"data,omitempty"`
}

// encode is what OpenKruise v1.9 stores: read as Kubernetes clients read, written typed, trimmed as a
// generic map, written again.
func encode(template string) (string, error) {
	var typed corev1.PodTemplateSpec
	if err := kjson.UnmarshalCaseSensitivePreserveInts([]byte(template), &typed); err != nil {
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

func vectorOf(template string) vector {
	data, err := encode(template)
	if err != nil {
		data = ""
	}
	return vector{template, data}
}

// writeVectors prints the hand-picked templates of templates.json and some random ones.
func writeVectors(random int, seed uint64) error {
	input, err := os.ReadFile("templates.json")
	if err != nil {
		return err
	}
	var templates []json.RawMessage
	if err := json.Unmarshal(input, &templates); err != nil {
		return err
	}
	var out []vector
	for _, template := range templates {
		out = append(out, vectorOf(string(template)))
	}
	return print(append(out, randomVectors(random, seed)...))
}
