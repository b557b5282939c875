// The oracle answers questions about policy rules with Kubernetes' own functions.
//
// It reads one JSON object a line from standard input and writes one a line to standard output, in the same order:
//
//	{"op": "allows", "rules": [PolicyRule…], "request": {"verb", "group", "resource", "subresource", "name", "path"}}
//	{"op": "covers", "owner": [PolicyRule…], "servant": [PolicyRule…]}
//	{"op": "selects", "selector": LabelSelector, "labels": {…}}
//
// A request with a path is a non-resource request. The answers are {"allowed": bool}, {"covered": bool, "uncovered":
// [PolicyRule…]} and {"selected": bool}; {"error": "…"} where a question cannot be read.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/component-helpers/auth/rbac/validation"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"
)

type request struct {
	Verb        string  `json:"verb"`
	Group       string  `json:"group"`
	Resource    string  `json:"resource"`
	Subresource string  `json:"subresource"`
	Name        string  `json:"name"`
	Path        *string `json:"path"`
}

type question struct {
	Op       string                `json:"op"`
	Rules    []rbacv1.PolicyRule   `json:"rules"`
	Request  request               `json:"request"`
	Owner    []rbacv1.PolicyRule   `json:"owner"`
	Servant  []rbacv1.PolicyRule   `json:"servant"`
	Selector *metav1.LabelSelector `json:"selector"`
	Labels   map[string]string     `json:"labels"`
}

type answer struct {
	Allowed   *bool               `json:"allowed,omitempty"`
	Covered   *bool               `json:"covered,omitempty"`
	Uncovered []rbacv1.PolicyRule `json:"uncovered,omitempty"`
	Selected  *bool               `json:"selected,omitempty"`
	Error     string              `json:"error,omitempty"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<28)
	output := bufio.NewWriter(os.Stdout)
	defer output.Flush()
	answers := json.NewEncoder(output)
	for lines.Scan() {
		if err := answers.Encode(reply(lines.Bytes())); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func reply(line []byte) answer {
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return answer{Error: err.Error()}
	}
	switch asked.Op {
	case "allows":
		allowed := rbac.RulesAllow(attributes(asked.Request), asked.Rules...)
		return answer{Allowed: &allowed}
	case "covers":
		covered, uncovered := validation.Covers(asked.Owner, asked.Servant)
		return answer{Covered: &covered, Uncovered: uncovered}
	case "selects":
		selector, err := metav1.LabelSelectorAsSelector(asked.Selector)
		if err != nil {
			return answer{Error: err.Error()}
		}
		selected := selector.Matches(labels.Set(asked.Labels))
		return answer{Selected: &selected}
	}
	return answer{Error: fmt.Sprintf("unknown op %q", asked.Op)}
}

func attributes(asked request) authorizer.Attributes {
	if asked.Path != nil {
		return authorizer.AttributesRecord{Verb: asked.Verb, Path: *asked.Path}
	}
	return authorizer.AttributesRecord{
		Verb:            asked.Verb,
		APIGroup:        asked.Group,
		Resource:        asked.Resource,
		Subresource:     asked.Subresource,
		Name:            asked.Name,
		ResourceRequest: true,
	}
}
