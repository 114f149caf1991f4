// Compares what charts grant with what their controllers asked for, as an audit log of the API server has it.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// right is one verb on one resource of one controller.
type right struct{ controller, verb, resource string }

func (r right) String() string { return r.controller + " " + r.verb + " " + r.resource }

type role struct {
	Kind     string
	Metadata struct {
		Name   string
		Labels map[string]string
	}
	Rules []struct {
		APIGroups []string `yaml:"apiGroups"`
		Resources []string
		Verbs     []string
		Names     []string `yaml:"resourceNames"`
	}
}

// named are resources of which a controller knows its own by name: a rule about all of them grants too much. What is
// created cannot be limited by name.
var named = []string{"secrets", "configmaps", "leases", "mutatingwebhookconfigurations", "validatingwebhookconfigurations"}

type event struct {
	Verb string
	User struct{ Username string }
	// Absent for discovery and the like.
	ObjectRef *struct {
		Resource, Subresource, APIGroup, Namespace, Name string
	}
	ResponseStatus struct{ Code int }
	RequestURI     string
	Annotations    map[string]string
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("hack/rbac: ")
	if len(os.Args) != 4 {
		log.Fatal("usage: rbac ROLES AUDIT-LOG EXPECTED")
	}
	granted := granted(os.Args[1])
	used, refused := used(os.Args[2])
	expected := expectations(os.Args[3])
	report(granted, used, refused, expected)
}

// granted expands the rules; a wildcard is an error of its own.
func granted(path string) map[right]bool {
	file, err := os.Open(path)
	check(err)
	defer file.Close()
	all := map[right]bool{}
	for decoder := yaml.NewDecoder(file); ; {
		var role role
		err := decoder.Decode(&role)
		if errors.Is(err, io.EOF) {
			return all
		}
		check(err)
		for _, rule := range role.Rules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						if verb != "create" && len(rule.Names) == 0 && slices.Contains(named, resource) {
							log.Fatalf("%s %s grants %s on all %s, not by name", role.Kind, role.Metadata.Name, verb, resource)
						}
						if slices.Contains([]string{group, resource, verb}, "*") {
							log.Fatalf("%s %s has a wildcard", role.Kind, role.Metadata.Name)
						}
						all[right{role.Metadata.Labels["app.kubernetes.io/name"], verb, qualified(group, resource)}] = true
					}
				}
			}
		}
	}
}

// qualified names a resource with its group, as kubectl does.
func qualified(group, resource string) string {
	if group == "" {
		return resource
	}
	name, sub, found := strings.Cut(resource, "/")
	name += "." + group
	if found {
		name += "/" + sub
	}
	return name
}

// used reads the log: what was done, and what was refused, with an example each.
func used(path string) (done map[right]int, refused map[right]string) {
	file, err := os.Open(path)
	check(err)
	defer file.Close()
	done, refused = map[right]int{}, map[right]string{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var e event
		check(json.Unmarshal(lines.Bytes(), &e))
		_, controller, _ := strings.Cut(e.User.Username, "system:serviceaccount:kruise-system:")
		if e.ObjectRef == nil || controller == "" {
			continue
		}
		resource := e.ObjectRef.Resource
		if e.ObjectRef.Subresource != "" {
			resource += "/" + e.ObjectRef.Subresource
		}
		r := right{controller, e.Verb, qualified(e.ObjectRef.APIGroup, resource)}
		if e.ResponseStatus.Code != 403 {
			done[r]++
		} else if e.Annotations["authorization.k8s.io/decision"] == "forbid" {
			refused[r] = e.RequestURI
		} else if r.verb == "patch" && e.ObjectRef.APIGroup == "admissionregistration.k8s.io" {
			// The verb was allowed, what came of it was not: server-side apply of what is not there is a creation.
			r.verb = "create"
			refused[r] = e.RequestURI
		}
		// Other refusals after the verb was allowed are admission's: a namespace that is ending, a quota.
	}
	check(lines.Err())
	return done, refused
}

// expectations reads what is known and right: `unused CONTROLLER VERB RESOURCE: why`, and `perhaps` of what some runs use.
func expectations(path string) map[string]bool {
	content, err := os.ReadFile(path)
	check(err)
	all := map[string]bool{}
	for _, line := range strings.Split(string(content), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		what, why, _ := strings.Cut(line, ": ")
		if why == "" {
			log.Fatalf("%s: no reason: %s", path, line)
		}
		all[what] = false
	}
	return all
}

func report(granted map[right]bool, used map[right]int, refused map[right]string, expected map[string]bool) {
	var lines []string
	complaints := 0
	say := func(kind string, r right, more string) {
		key := kind + " " + r.String()
		mark := ""
		if _, known := expected[key]; known {
			expected[key] = true
			mark = " (expected)"
		} else if kind != "used" {
			complaints++
		}
		lines = append(lines, key+more+mark)
	}
	for r := range granted {
		// Whether such a right was used is a matter of chance; that it is granted is not.
		if _, known := expected["perhaps "+r.String()]; known {
			expected["perhaps "+r.String()] = true
			lines = append(lines, fmt.Sprintf("perhaps %s (%d times)", r, used[r]))
		} else if n := used[r]; n > 0 {
			say("used", r, fmt.Sprintf(" (%d times)", n))
		} else {
			say("unused", r, "")
		}
	}
	for r, example := range refused {
		say("refused", r, " ("+example+")")
	}
	for r, n := range used {
		if !granted[r] {
			// Done without a right of the chart: by what Kubernetes gives everybody.
			lines = append(lines, fmt.Sprintf("everybody %s (%d times)", r, n))
		}
	}
	sort.Strings(lines)
	for _, line := range lines {
		fmt.Println(line)
	}
	for key, seen := range expected {
		if !seen {
			complaints++
			fmt.Printf("expected, but not so: %s\n", key)
		}
	}
	fmt.Printf("%d rights granted, %d complaints\n", len(granted), complaints)
	if complaints > 0 {
		os.Exit(1)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
