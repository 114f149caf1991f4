package main

import (
	"bytes"
	"encoding/json"
)

// panel is one graph. Expressions select by the variable `job`.
type panel struct {
	title, unit string
	queries     []query
}

type query struct{ expr, legend string }

func panels(c Controller) []panel {
	const mine = `{job=~"$job"}`
	quantile := func(metric string) []query {
		return []query{
			{`histogram_quantile(0.5, sum by (le) (rate(` + metric + `_bucket` + mine + `[$__rate_interval])))`, "half"},
			{`histogram_quantile(0.99, sum by (le) (rate(` + metric + `_bucket` + mine + `[$__rate_interval])))`, "99 %"},
		}
	}
	return []panel{
		{"What waits, by reason", "short", []query{{`sum by (reason) (` + c.Metric + `_holds` + mine + `)`, "{{reason}}"}}},
		state(c),
		{"Leader", "short", []query{{`max by (pod) (leader_election_master_status` + mine + `)`, "{{pod}}"}}},
		{"Turns", "ops", []query{{`sum by (result) (rate(controller_runtime_reconcile_total` + mine + `[$__rate_interval]))`, "{{result}}"}}},
		{"Time of a turn", "s", quantile("controller_runtime_reconcile_time_seconds")},
		{"Queue", "short", []query{{`sum(workqueue_depth` + mine + `)`, "objects that wait for a turn"}}},
		{"Wait for a turn", "s", quantile("workqueue_queue_duration_seconds")},
		{"Writes", "ops", []query{{`sum by (verb, resource) (rate(kruise_writes_total` + mine + `[$__rate_interval]))`, "{{verb}} {{resource}}"}}},
		{"Writes that did not succeed", "ops", []query{{`sum by (outcome) (rate(kruise_writes_total{job=~"$job",outcome!="ok"}[$__rate_interval]))`, "{{outcome}}"}}},
		{"Time of a write", "s", quantile("kruise_write_duration_seconds")},
		{"Writes that may be under way", "short", []query{{`min(kruise_write_window` + mine + `)`, "window"}}},
		{"Reviews", "ops", []query{{`sum by (webhook, code) (rate(controller_runtime_webhook_requests_total` + mine + `[$__rate_interval]))`, "{{webhook}} {{code}}"}}},
		{"What became of reviews", "ops", []query{{`sum by (outcome) (rate(kruise_admission_outcomes_total` + mine + `[$__rate_interval]))`, "{{outcome}}"}}},
		{"Time of a review", "s", quantile("controller_runtime_webhook_latency_seconds")},
		{"Webhook certificate ends in", "s", []query{{`min(webhook_cert_expiry_timestamp_seconds` + mine + ` > 0) - time()`, "certificate"}}},
		{"Webhooks registered, standing by", "short", []query{
			{`min(kruise_webhook_registered` + mine + `)`, "registered"},
			{`max(kruise_conflict` + mine + `)`, "stands by for OpenKruise"},
		}},
		{"Cache", "short", []query{{`max by (resource) (kruise_cache_objects` + mine + `)`, "{{resource}}"}}},
		{"CPU", "short", []query{{`rate(process_cpu_seconds_total` + mine + `[$__rate_interval])`, "{{pod}}"}}},
		{"Memory", "bytes", []query{{`process_resident_memory_bytes` + mine, "{{pod}}"}}},
	}
}

// state is the graph of what the kind is about.
func state(c Controller) panel {
	const mine = `{job=~"$job"}`
	switch c.Kind {
	case "BroadcastJob":
		return panel{"Nodes of open jobs", "short", []query{{`sum by (state) (kruise_broadcastjob_nodes` + mine + `)`, "{{state}}"}}}
	case "SidecarSet":
		return panel{"Pods of SidecarSets", "short", []query{{`sum by (state) (kruise_sidecarset_pods` + mine + `)`, "{{state}}"}}}
	}
	return panel{"Replicas that are not available", "short", []query{
		{`sum(kruise_statefulset_unavailable_replicas` + mine + `)`, "unavailable"},
		{`sum(kruise_statefulset_max_unavailable` + mine + `)`, "may be, for updates"},
	}}
}

// dashboard is a dashboard of Grafana: two graphs in a row.
func dashboard(c Controller) string {
	source := map[string]any{"type": "prometheus", "uid": "${datasource}"}
	var graphs []any
	for i, panel := range panels(c) {
		var targets []any
		for j, query := range panel.queries {
			targets = append(targets, map[string]any{
				"datasource": source, "expr": query.expr, "legendFormat": query.legend, "refId": string(rune('A' + j)),
			})
		}
		graphs = append(graphs, map[string]any{
			"id": i + 1, "type": "timeseries", "title": panel.title, "datasource": source, "targets": targets,
			"gridPos":     map[string]any{"h": 8, "w": 12, "x": i % 2 * 12, "y": i / 2 * 8},
			"fieldConfig": map[string]any{"defaults": map[string]any{"unit": panel.unit, "min": 0}, "overrides": []any{}},
		})
	}
	variables := []any{
		map[string]any{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
		map[string]any{
			"name": "job", "type": "query", "datasource": source, "includeAll": true, "multi": true, "refresh": 2,
			"query":   `label_values(leader_election_master_status{name="` + c.Name + `"}, job)`,
			"current": map[string]any{"text": "All", "value": "$__all"},
		},
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	check(encoder.Encode(map[string]any{
		"uid": c.Name, "title": c.Name, "tags": []string{"kruise"}, "schemaVersion": 39, "version": 1, "editable": true,
		"time": map[string]any{"from": "now-1h", "to": "now"}, "refresh": "30s",
		"templating": map[string]any{"list": variables}, "panels": graphs,
	}))
	return out.String()
}
