# shellcheck shell=bash
# hack/charts/real, part of it: what a real Prometheus sees of the controllers. Sourced, never run.

prometheus() {
  local bin
  bin=$(hack/tools/prometheus) || { skip "metrics, dashboards and alerts on a real Prometheus" "no prometheus (it is a Debian package)"; return 1; }
  local port
  for port in $(shuf -i 20000-29999 -n 50); do (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break; done
  cat >"$work/prometheus.yaml" <<E2
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [$(printf "$PWD/charts/%s/files/alerts.yaml, " "${charts[@]}")]
scrape_configs:
  - job_name: pods
    file_sd_configs: [{files: [$work/targets.json], refresh_interval: 1s}]
E2
  "$bin/prometheus" --config.file "$work/prometheus.yaml" --storage.tsdb.path "$work/tsdb" --web.listen-address "127.0.0.1:$port" \
    --log.level warn >"$work/prometheus.log" 2>&1 &
  pids+=($!)
  prometheus_pid=$!
  prom=http://127.0.0.1:$port
  prometheus_since=$(date +%s)
  discover &
  pids+=($!)
  eventually "Prometheus is ready" curl -sf "$prom/-/ready"
}
# discover: the controllers' pods, as Prometheus' own discovery would find them; Debian's Prometheus has none for Kubernetes.
discover() {
  local template
  template='[{{range $i, $pod := .items}}{{if $i}},{{end}}{"targets":["{{.status.podIP}}:{{range .spec.containers}}{{range .ports}}{{if eq .name "metrics"}}{{.containerPort}}{{end}}{{end}}{{end}}"],'
  template+='"labels":{"job":"{{index .metadata.labels "app.kubernetes.io/name"}}","pod":"{{.metadata.name}}"}}{{end}}]'
  while true; do
    kubectl get pods -n kruise-system -l app.kubernetes.io/component=controller --field-selector status.phase=Running -o "go-template=$template" \
      >"$work/targets.new" 2>/dev/null && mv "$work/targets.new" "$work/targets.json"
    sleep 1
  done
}
# query EXPRESSION: its value, if it is one number.
query() { curl -sf --get "$prom/api/v1/query" --data-urlencode "query=$1" | sed -n 's/.*"value":\[[^,]*,"\([^"]*\)"\].*/\1/p'; }
targets_up() { [ "$(query 'count(up)') $(query 'min(up)')" = "6 1" ]; }
series() { # EXPRESSION: how it went since the start has something in it.
  local answer
  answer=$(curl -sf --get "$prom/api/v1/query_range" --data-urlencode "query=$1" --data-urlencode "start=$prometheus_since" --data-urlencode "end=$(date +%s)" --data-urlencode step=2) || return
  grep -q '"values":\[\[' <<<"$answer" && grep -qE '"(-?[0-9.]+(e[-+]?[0-9]+)?|\+Inf)"\]' <<<"$answer"
}
# explained CHART WHAT: the reason for which it is not seen, if there is one.
explained() { grep -F "$1 $2: " hack/charts/unseen | sed 's/.*: //'; }
# alert_expressions CHART: NAME, a space, the expression on one line.
alert_expressions() {
  awk '/^ *- alert:/ { name = $3 } /^ *expr:/ { on = 1; sub(/^ *expr: (>-)? */, ""); sum = "" }
    /^ *for:/ && on { on = 0; print name, sum } on { gsub(/^ +/, ""); sum = sum (sum == "" ? "" : " ") $0 }' "charts/$1/files/alerts.yaml"
}
# alerts CHART: what its alerts select is there under the controller's own job, and what they compare has a value.
alerts() {
  local chart=$1 alert expression selector why found missing
  while read -r alert expression; do
    missing=''
    while read -r selector; do
      found=$(curl -sf --get "$prom/api/v1/series" --data-urlencode "match[]=$selector" --data-urlencode "start=$prometheus_since" | tr '{' '\n' | grep -c "\"job\":\"$chart\"")
      why=$(explained "$chart" "$selector")
      [ "$found" != 0 ] || missing=1
      if [ "$found" != 0 ] && [ -n "$why" ]; then no "$chart, $alert: $selector" "seen, but hack/charts/unseen says that it is not: $why"
      elif [ "$found" != 0 ]; then ok "$chart, $alert: $selector ($found series)"
      elif [ -n "$why" ]; then ok "$chart, $alert: $selector is not seen: $why"
      else no "$chart, $alert: $selector" "no series"; fi
    done < <(grep -oE '\b(kruise|controller_runtime|workqueue|webhook|leader_election|rest_client|process|kube_pod)_[a-z_]+(\{[^}]*\})?' <<<"$expression" | sort -u)
    # Without the threshold, which a controller that works does not reach.
    expression=$(sed -E 's/ unless .*//; s/ > 0 and on \(\) .*//; s/ [<>] [0-9.* ]+$//' <<<"$expression")
    [ -n "$missing" ] || expect "$chart, $alert has a value: $expression" series "$expression"
  done < <(alert_expressions "$chart")
}

# trouble: what alerts tell of happens to each controller in the namespace "trouble", where its writes of pods are refused.
trouble() {
  local chart address port
  kubectl create namespace trouble >/dev/null
  kubectl apply -f - >/dev/null <<'E2'
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: trouble}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: trouble}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods]}]
  matchConditions: [{name: controllers, expression: "request.userInfo.username.startsWith('system:serviceaccount:kruise-system:')"}]
  validations: [{expression: "false", message: trouble was asked for}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: trouble}
spec: {policyName: trouble, validationActions: [Deny]}
---
apiVersion: v1
kind: Pod
metadata: {name: taken-0, namespace: trouble}
spec: {nodeSelector: {nowhere: "true"}, containers: [{name: main, image: registry.example.com/shop/web:v1}]}
---
apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: trouble}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: trouble}}
  selector: {matchLabels: {app: refused}}
  containers: [{name: proxy, image: "registry.example.com/shop/proxy:v1"}]
  updateStrategy: {type: RollingUpdate}
E2
  policed() { grep -q "trouble was asked for" < <(trouble_pod policed web --dry-run=server --as system:serviceaccount:kruise-system:kruise-statefulset 2>&1); }
  eventually "pods of controllers are refused there" policed
  eventually "pods of people are asked about" observed sidecarsets.apps.kruise.io/trouble
  expect "a SidecarSet" recorded_sidecars v1 "customVersion: gone"
  eventually "is recorded" observed sidecarsets.apps.kruise.io/trouble-revision
  expect "its next revision injects the recorded one" recorded_sidecars v2 "injectionStrategy: {revision: {customVersion: gone, policy: Always}}"
  expect "which is lost" kubectl delete controllerrevision -n kruise-system -l apps.kruise.io/sidecarset-custom-version=gone
  expect "a pod with a sidecar" trouble_pod refused refused
  eventually "runs" kubectl wait pod/refused -n trouble --for condition=Ready --timeout 1s
  kubectl patch sidecarset trouble --type merge -p '{"spec": {"containers": [{"name": "proxy", "image": "registry.example.com/shop/proxy:v2"}]}}' >/dev/null
  for _ in first again; do refused "a pod that cannot be injected" "sidecarset trouble-revision" trouble_pod pinned pinned; done
  kubectl apply -f - >/dev/null <<'E2'
apiVersion: apps.kruise.io/v1beta1
kind: StatefulSet
metadata: {name: taken, namespace: trouble}
spec:
  replicas: 1
  serviceName: web
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: "registry.example.com/shop/web:v1"}]}}
---
apiVersion: apps.kruise.io/v1beta1
kind: StatefulSet
metadata: {name: refused, namespace: trouble}
spec:
  replicas: 1
  serviceName: web
  selector: {matchLabels: {app: refused-set}}
  template: {metadata: {labels: {app: refused-set}}, spec: {containers: [{name: main, image: "registry.example.com/shop/web:v1"}]}}
---
apiVersion: apps.kruise.io/v1beta1
kind: BroadcastJob
metadata: {name: refused, namespace: trouble}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: "registry.example.com/shop/job:exit-0"}]}}}
---
apiVersion: apps.kruise.io/v1beta1
kind: BroadcastJob
metadata: {name: fails, namespace: shop}
spec:
  failurePolicy: {type: Continue, retry: {limit: 3}}
  template: {spec: {restartPolicy: Never, containers: [{name: main, image: "registry.example.com/shop/job:exit-1"}]}}
E2
  # Reviews that are none, at each replica.
  while read -r chart address port; do
    same "$chart at $address: what is no review is a bad request" 400 \
      "$(curl -sk -o "$work/review" -w '%{http_code}' --data nonsense "https://$address:$port/mutate-apps-kruise-io-${chart#kruise-}")"
  done < <(kubectl get pods -n kruise-system -l app.kubernetes.io/component=controller -o 'go-template={{range .items}}{{index .metadata.labels "app.kubernetes.io/name"}} {{.status.podIP}}{{range .spec.containers}}{{range .ports}}{{if eq .name "webhook"}} {{.containerPort}}{{end}}{{end}}{{end}}{{"\n"}}{{end}}')
  for chart in "${charts[@]}"; do
    eventually "$chart needs the owner, and is refused" pending "$chart" KruiseNeedsTheOwner KruiseWritesRefused
  done
  eventually "pods are refused" pending kruise-sidecarset KruisePodsRefused
}
recorded_sidecars() { # IMAGE-TAG MEMBER
  kubectl apply -f - <<E2
apiVersion: apps.kruise.io/v1beta1
kind: SidecarSet
metadata: {name: trouble-revision}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: trouble}}
  selector: {matchLabels: {app: pinned}}
  containers: [{name: proxy, image: "registry.example.com/shop/proxy:$1"}]
  $2
E2
}
# trouble_pod NAME APP ARGS...
trouble_pod() {
  local name=$1 app=$2
  shift 2
  kubectl create "$@" -f - <<E2
apiVersion: v1
kind: Pod
metadata: {name: $name, namespace: trouble, labels: {app: $app}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "registry.example.com/shop/lone:v1", resources: {requests: {cpu: 5m, memory: 8Mi}}}]
E2
}
# pending CHART ALERT...: what they are about is there; they fire when it stays.
pending() {
  local chart=$1 alert
  shift
  for alert in "$@"; do
    curl -sf "$prom/api/v1/alerts" | tr '{' '\n' | grep "\"alertname\":\"$alert\"" | grep -q "\"controller\":\"$chart\"" || { echo "no $alert"; return 1; }
  done
}
no_trouble() {
  kubectl delete validatingadmissionpolicybinding/trouble validatingadmissionpolicy/trouble sidecarset/trouble sidecarset/trouble-revision namespace/trouble >/dev/null
  kubectl delete broadcastjobs.apps.kruise.io/fails -n shop --cascade=foreground >/dev/null
}

metrics() {
  local metric chart expression why jobs found
  section "Prometheus"
  eventually "six targets are up" targets_up
  same "no alert fires" "" "$({ curl -sf "$prom/api/v1/alerts" || echo '"state":"firing": no answer'; } | tr '{' '\n' | grep '"state":"firing"')"
  trouble
  for metric in $(sed -n '/^## What is measured/,/^## Alerts/p' docs/metrics.md | grep -oE '^- `[a-z_]+`|`process_[a-z_]+`' | tr -d '` -'; ); do
    for chart in "${charts[@]}"; do
      # Metrics of one kind are those of one controller.
      case $metric in kruise_statefulset_* | kruise_broadcastjob_* | kruise_sidecarset_*) [[ $metric == "${chart//-/_}"_* ]] || continue ;; esac
      jobs=$(query "count(count by (job) (last_over_time({__name__=~\"$metric(_count)?\",job=\"$chart\"}[1h])))")
      why=$(explained "$chart" "$metric")
      if [ -n "$jobs" ] && [ -n "$why" ]; then no "$chart: $metric" "seen, but hack/charts/unseen says that it is not: $why"
      elif [ -n "$jobs" ]; then ok "$chart: $metric"
      elif [ -n "$why" ]; then ok "$chart: $metric is not seen: $why"
      else no "$chart: $metric" "no series"; fi
    done
  done
  for chart in "${charts[@]}"; do
    while read -r expression; do
      expression=$(sed "s/\\\\\"/\"/g; s/\\\$__rate_interval/30s/g; s/\\\$job/$chart/g" <<<"$expression")
      why=$(explained "$chart" "$expression")
      if ! series "$expression"; then found=''; else found=1; fi
      if [ -n "$found" ] && [ -n "$why" ]; then no "$chart, dashboard: $expression" "seen, but hack/charts/unseen says that it is not: $why"
      elif [ -n "$found" ]; then ok "$chart, dashboard: $expression"
      elif [ -n "$why" ]; then ok "$chart, dashboard: $expression is empty: $why"
      else no "$chart, dashboard: $expression" "no series"; fi
    done < <(sed -n 's/^ *"expr": "\(.*\)",\{0,1\}$/\1/p' "charts/$chart/files/dashboard.json")
  done
  for chart in "${charts[@]}"; do alerts "$chart"; done
  same "every rule of the alerts can be evaluated" "" "$({ curl -sf "$prom/api/v1/rules" || echo '"health":"err": no answer'; } | tr '{' '\n' | grep '"health":"err"')"
  no_trouble
  ended "$prometheus_pid"
}

