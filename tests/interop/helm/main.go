// Renders a chart as `helm template` does, and lints it as `helm lint` does, with Helm's own packages and without
// what talks to clusters and registries: that is most of Helm, and most of what there is to compile.
//
// One chart and one line of JSON values on standard input for each rendering; one line of JSON for each on standard output:
// {"objects": "YAML documents"} or {"error": "what Helm says"}.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
)

type question struct {
	Namespace string         `json:"namespace"`
	Values    map[string]any `json:"values"`
	Lint      bool           `json:"lint"`
}

func main() {
	folder := os.Args[1]
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		answer := map[string]string{}
		objects, err := answered(folder, asked)
		if err != nil {
			answer["error"] = err.Error()
		} else {
			answer["objects"] = objects
		}
		if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
			os.Exit(2)
		}
	}
}

func answered(folder string, asked question) (string, error) {
	if asked.Lint {
		linter := lint.All(folder, asked.Values, asked.Namespace, false)
		for _, message := range linter.Messages {
			if message.Severity >= support.WarningSev {
				return "", message
			}
		}
		return "", nil
	}
	return rendered(folder, asked)
}

// The steps of Helm's action.Install before it talks to a cluster, in their order.
func rendered(folder string, asked question) (string, error) {
	chart, err := loader.Load(folder)
	if err != nil {
		return "", err
	}
	release := chartutil.ReleaseOptions{Name: "mesh", Namespace: asked.Namespace, Revision: 1, IsInstall: true}
	values, err := chartutil.ToRenderValues(chart, asked.Values, release, chartutil.DefaultCapabilities)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(chart, values)
	if err != nil {
		return "", err
	}
	names := make([]string, 0, len(files))
	for name := range files {
		if path.Ext(name) == ".yaml" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	var all strings.Builder
	for _, name := range names {
		fmt.Fprintf(&all, "---\n%s\n", files[name])
	}
	return all.String(), nil
}
