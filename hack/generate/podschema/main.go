// Command podschema writes what kruise-common's codec of ControllerRevision data is built on and checked
// against, out of the Go types of Kubernetes 1.32, the version behind OpenKruise v1.9:
//
//	podschema schema DIR      Rust tables of what Go's encoder does with each member of a PodTemplateSpec
//	podschema vectors         templates as users write them, and the bytes that Go makes of them
//	podschema quantities      spellings of quantities, what Go writes for them, and how it orders them
//	podschema random N SEED   more vectors, all random, for a longer search than the stored ones
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "podschema:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "schema":
		return writeSchema(args[1])
	case len(args) == 1 && args[0] == "vectors":
		return writeVectors(40, 1)
	case len(args) == 1 && args[0] == "quantities":
		return writeQuantities(400, 1)
	case len(args) == 3 && args[0] == "random":
		count, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		seed, err := strconv.ParseUint(args[2], 10, 64)
		if err != nil {
			return err
		}
		return print(randomVectors(count, seed))
	}
	return fmt.Errorf("unknown arguments %q", args)
}

// print writes a list as JSON, one item a line.
func print[T any](items []T) error {
	var out bytes.Buffer
	for index, item := range items {
		separator := ",\n"
		if index == 0 {
			separator = "[\n"
		}
		out.WriteString(separator)
		line, err := json.Marshal(item)
		if err != nil {
			return err
		}
		out.Write(line)
	}
	out.WriteString("\n]\n")
	_, err := os.Stdout.Write(out.Bytes())
	return err
}
