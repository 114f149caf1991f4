// Writes one Helm chart for each controller from one source: templates, values, schema, reference.
package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// Controller is what a chart is made for.
type Controller struct {
	Name, Kind, Title, Article, Plural, Short, Page, Component, Metric string
	Description, Owner, Wanted                                         string
	MemoryLimit                                                        string `yaml:"memoryLimit"`
	WebhookPort                                                        int `yaml:"webhookPort"`
	MetricsPort                                                        int `yaml:"metricsPort"`
	Scale                                                              bool
	Keywords                                                           []string
	// From the repository.
	Version string `yaml:"-"`
	Gates   []Gate `yaml:"-"`
	// Rows of the reference, for the README.
	Reference string `yaml:"-"`
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("hack/generate/charts: ")
	if len(os.Args) != 3 {
		log.Fatal("usage: charts REPOSITORY DIRECTORY")
	}
	root, out := os.Args[1], os.Args[2]
	var controllers []Controller
	check(yaml.Unmarshal(read("controllers.yaml"), &controllers))
	gates := gates(string(read(filepath.Join(root, "crates/kruise-common/src/gates.rs"))))
	version := version(string(read(filepath.Join(root, "Cargo.toml"))))
	for _, c := range controllers {
		c.Version, c.Gates = version, gates
		chart(root, filepath.Join(out, c.Name), c)
	}
}

// chart writes the chart of one controller, and nothing else stays in its directory.
func chart(root, dir string, c Controller) {
	check(os.RemoveAll(dir))
	values := expand("values.yaml", string(read("source/values.yaml")), c)
	parsed := parseValues(values)
	c.Reference = parsed.reference()
	write(filepath.Join(dir, "values.yaml"), parsed.text)
	write(filepath.Join(dir, "values.schema.json"), parsed.schema(c))
	crd := read(filepath.Join(root, "crates/kruise-api/tests/golden/crd", c.Plural+".apps.kruise.io.yaml"))
	write(filepath.Join(dir, "files/crd.yaml"), string(crd))
	write(filepath.Join(dir, "files/dashboard.json"), dashboard(c))
	var templates strings.Builder
	check(filepath.WalkDir("source", func(path string, entry fs.DirEntry, err error) error {
		check(err)
		name, _ := filepath.Rel("source", path)
		if !entry.IsDir() && name != "values.yaml" {
			// A file that is empty for this controller is left out.
			if text := expand(name, string(read(path)), c); strings.TrimSpace(text) != "" {
				write(filepath.Join(dir, name), text)
				if strings.HasPrefix(name, "templates/") {
					templates.WriteString(text)
				}
			}
		}
		return nil
	}))
	// A value without effect is a promise that nobody keeps.
	for _, name := range parsed.names() {
		if !regexp.MustCompile(`\.` + name + `\b`).MatchString(templates.String()) {
			log.Fatalf("%s: no template uses the value %s", c.Name, name)
		}
	}
}

// expand fills [[ ]]; {{ }} is left to Helm, and to Prometheus and Grafana.
func expand(name, text string, c Controller) string {
	t, err := template.New(name).Delims("[[", "]]").Option("missingkey=error").Funcs(template.FuncMap{"bytes": inBytes}).Parse(text)
	check(err)
	var out bytes.Buffer
	check(t.Execute(&out, c))
	return out.String()
}

// inBytes is a quantity of memory, such as 2Gi, as a number.
func inBytes(quantity string) string {
	var number int64
	var unit string
	_, err := fmt.Sscanf(quantity, "%d%s", &number, &unit)
	check(err)
	shift, ok := map[string]int{"Mi": 20, "Gi": 30}[unit]
	if !ok {
		log.Fatalf("controllers.yaml: memoryLimit: %s", quantity)
	}
	return fmt.Sprint(number << shift)
}

// Gate is a feature gate as the code knows it; Stage is empty for those that are accepted without effect.
type Gate struct {
	Name, Stage string
	Default     bool
}

// gates reads the table of the code, so that a chart never knows other gates than the binary.
func gates(code string) []Gate {
	var all []Gate
	for _, m := range regexp.MustCompile(`(?m)^    \w+: "(\w+)", (Alpha|Beta), (true|false);$`).FindAllStringSubmatch(code, -1) {
		all = append(all, Gate{m[1], m[2], m[3] == "true"})
	}
	_, accepted, _ := strings.Cut(code, "const ACCEPTED")
	accepted, _, _ = strings.Cut(accepted, "];")
	for _, m := range regexp.MustCompile(`"(\w+)"`).FindAllStringSubmatch(accepted, -1) {
		all = append(all, Gate{Name: m[1]})
	}
	if len(all) < 20 {
		log.Fatal("crates/kruise-common/src/gates.rs: the table of gates was not found")
	}
	return all
}

func version(manifest string) string {
	m := regexp.MustCompile(`(?m)^version = "(.+)"$`).FindStringSubmatch(manifest)
	if m == nil {
		log.Fatal("Cargo.toml: no version")
	}
	return m[1]
}

func read(path string) []byte {
	content, err := os.ReadFile(path)
	check(err)
	return content
}

func write(path, text string) {
	check(os.MkdirAll(filepath.Dir(path), 0o755))
	check(os.WriteFile(path, []byte(strings.TrimRight(text, "\n")+"\n"), 0o644))
}

func check(err error) {
	if err != nil {
		log.Fatal(fmt.Errorf("%w", err))
	}
}
