package main

import (
	"bytes"
	"encoding/json"
	"log"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Values is values.yaml read as what it is for people: values with comments. A comment line `@schema {…}` adds to the
// JSON schema of the value below it and is not for people.
type Values struct {
	text string
	root *yaml.Node
}

const marker = "@schema "

func parseValues(source string) Values {
	var document yaml.Node
	check(yaml.Unmarshal([]byte(source), &document))
	var text []string
	for _, line := range strings.Split(source, "\n") {
		if !strings.HasPrefix(strings.TrimSpace(line), "# "+marker) {
			text = append(text, line)
		}
	}
	return Values{strings.Join(text, "\n"), document.Content[0]}
}

// comment splits the comment above a value: what it says, and its addition to the schema.
func comment(node *yaml.Node) (says string, more map[string]any) {
	var words []string
	for _, line := range strings.Split(node.HeadComment, "\n") {
		line = strings.TrimSpace(strings.TrimPrefix(line, "#"))
		if schema, ok := strings.CutPrefix(line, marker); ok {
			if err := json.Unmarshal([]byte(schema), &more); err != nil {
				log.Fatalf("values.yaml: %s: %s: %v", node.Value, schema, err)
			}
		} else if line != "" {
			words = append(words, line)
		}
	}
	return strings.Join(words, " "), more
}

// pairs calls f for every member of a mapping, in order.
func pairs(mapping *yaml.Node, f func(key, value *yaml.Node)) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		f(mapping.Content[i], mapping.Content[i+1])
	}
}

func (v Values) schema(c Controller) string {
	schema := object(v.root)
	schema["$schema"] = "http://json-schema.org/draft-07/schema#"
	schema["title"] = "Values of the chart " + c.Name
	properties := schema["properties"].(map[string]any)
	// Helm passes it to charts that are part of another one.
	properties["global"] = map[string]any{"type": "object"}
	gates := map[string]any{}
	for _, gate := range c.Gates {
		gates[gate.Name] = map[string]any{"type": "boolean"}
	}
	gates["AllAlpha"], gates["AllBeta"] = map[string]any{"type": "boolean"}, map[string]any{"type": "boolean"}
	features := properties["featureGates"].(map[string]any)
	features["properties"], features["additionalProperties"] = gates, false
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	check(encoder.Encode(schema))
	return out.String()
}

func object(mapping *yaml.Node) map[string]any {
	properties := map[string]any{}
	pairs(mapping, func(key, value *yaml.Node) {
		says, more := comment(key)
		schema := of(value)
		if says != "" {
			schema["description"] = says
		}
		delete(more, "whole") // for the reference only
		for name, content := range more {
			schema[name] = content
		}
		properties[key.Value] = schema
	})
	return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
}

// of infers the schema from the default.
func of(value *yaml.Node) map[string]any {
	switch value.Kind {
	case yaml.MappingNode:
		// What is empty by default takes anything; what has members takes these only.
		if len(value.Content) == 0 {
			return map[string]any{"type": "object"}
		}
		return object(value)
	case yaml.SequenceNode:
		return map[string]any{"type": "array"}
	}
	types := map[string]string{"!!str": "string", "!!int": "integer", "!!bool": "boolean"}
	kind, ok := types[value.Tag]
	if !ok {
		log.Fatalf("values.yaml: line %d: no type for %s", value.Line, value.Tag)
	}
	return map[string]any{"type": kind}
}

// names are the last parts of all values that templates ask for.
func (v Values) names() []string {
	var names []string
	var walk func(mapping *yaml.Node)
	walk = func(mapping *yaml.Node) {
		pairs(mapping, func(key, value *yaml.Node) {
			_, more := comment(key)
			whole := more["additionalProperties"] != nil || more["whole"] != nil
			names = append(names, key.Value)
			if value.Kind == yaml.MappingNode && len(value.Content) > 0 && !whole {
				walk(value)
			}
		})
	}
	walk(v.root)
	return names
}

// reference is the table for the README: every value that has no members, or is meant as a whole.
func (v Values) reference() string {
	var rows []string
	var walk func(prefix string, mapping *yaml.Node)
	walk = func(prefix string, mapping *yaml.Node) {
		pairs(mapping, func(key, value *yaml.Node) {
			says, more := comment(key)
			path := prefix + key.Value
			whole := more["additionalProperties"] != nil || more["whole"] != nil
			if value.Kind == yaml.MappingNode && len(value.Content) > 0 && !whole {
				walk(path+".", value)
				return
			}
			if says == "" {
				log.Fatalf("values.yaml: %s has no comment", path)
			}
			rows = append(rows, "| `"+path+"` | `"+literal(value)+"` | "+strings.ReplaceAll(says, "|", `\|`)+" |")
		})
	}
	walk("", v.root)
	return strings.Join(rows, "\n")
}

func literal(value *yaml.Node) string {
	var decoded any
	check(value.Decode(&decoded))
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	check(encoder.Encode(decoded))
	return strings.TrimSpace(out.String())
}
