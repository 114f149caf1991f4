# shellcheck shell=bash
# hack/charts/real, part of it: controllers that crash, are upgraded or end while they work. Sourced, never run.

# watched NAME PODS COUNT: every state of the pods with these labels from now on, in $work/NAME.seen; unwatched ends it.
watched() {
  local template='{{$ready := "-"}}{{range .object.status.conditions}}{{if eq .type "Ready"}}{{$ready = .status}}{{end}}{{end}}'
  template+='{{$wants := "-"}}{{range .object.spec.containers}}{{if eq .name "proxy"}}{{$wants = .image}}{{end}}{{end}}'
  template+='{{$runs := "-"}}{{range .object.status.containerStatuses}}{{if eq .name "proxy"}}{{$runs = .image}}{{end}}{{end}}'
  template+='{{.type}} {{.object.metadata.name}} {{$ready}} {{.object.status.phase}} {{or .object.spec.nodeName "-"}} {{$wants}} {{$runs}}{{"\n"}}'
  kubectl get pods -n shop -l "$2" --watch --output-watch-events -o "go-template=$template" >"$work/$1.seen" 2>&1 &
  watching=$!
  pids+=("$watching")
  until [ "$(wc -l <"$work/$1.seen")" -ge "$3" ]; do sleep 0.1; done
}
unwatched() { ended "$watching"; }
# ended PID: ends a process of ours, and forgets it: its number will be somebody else's.
ended() {
  local pid left=()
  kill "$1" 2>/dev/null
  wait "$1" 2>/dev/null
  for pid in "${pids[@]}"; do [ "$pid" = "$1" ] || left+=("$pid"); done
  pids=(${left[@]+"${left[@]}"})
}
# kept NAME BUDGET: how many pods of five were missing, not ready or between two images of their sidecar at once. A restart of a sidecar
# may be over before the kubelet says that the pod is not ready.
kept() {
  local worst
  unwatched
  worst=$(awk '{ if ($1 == "DELETED") delete up[$2]; else up[$2] = ($3 == "True" && $6 == $7); n = 0; for (pod in up) n += up[pod]
    if (n == 5) whole = 1; if (whole && 5 - n > worst) worst = 5 - n } END { print worst + 0 }' "$work/$1.seen")
  if [ "$worst" -le "$2" ] && [ "$worst" -gt 0 ]; then ok "$1: the budget was kept ($worst of $2 at most)"; else no "$1: the budget was kept" "$worst unavailable, allowed $2"; fi
}
# crash POD: its process is killed, as if it had crashed.
crash() { signal KILL kruise-system "$1"; }
# signal NAME NAMESPACE POD: sent to the first process of its first container.
signal() {
  local node id
  node=$(kubectl get pod "$3" -n "$2" -o 'jsonpath={.spec.nodeName}')
  id=$(kubectl get pod "$3" -n "$2" -o 'jsonpath={.status.containerStatuses[0].containerID}')
  hack/node/exec "$cluster" "$node" ctr -n k8s.io tasks kill --signal "SIG$1" "${id#containerd://}"
}

# --- StatefulSet ---
set_rollouts() {
  local chart=kruise-statefulset before led
  section "StatefulSet: leaders that end in the middle of a rollout"
  before=$(identities)
  watched "crash of the leader" app=web 5
  expect "a new image" web v3
  eventually "is half rolled out" halfway
  led=$(leader $chart)
  expect "the leader $led crashes" crash "$led"
  eventually "the rollout is done" rolled_out v3
  kept "crash of the leader" 1
  watched "deletion of the leader" app=web 5
  expect "a new image" web v4
  eventually "is half rolled out" halfway
  led=$(leader $chart)
  expect "the leader $led is deleted" kubectl delete pod "$led" -n kruise-system --wait=false
  eventually "the rollout is done" rolled_out v4
  if [ "$(leader $chart)" != "$led" ]; then ok "another replica leads"; else no "another replica leads" "$led"; fi
  kept "deletion of the leader" 1
  expect "both replicas are there again" kubectl rollout status deployment/$chart -n kruise-system --timeout 60s
  same "no pod was replaced" "$before" "$(identities)"

  section "StatefulSet: upgrade and rollback in the middle of a rollout"
  local trusted
  trusted=$(certificate $chart)
  watched upgrade app=web 5
  expect "a new image" web v5
  eventually "is half rolled out" halfway
  expect "helm upgrade to another image" release upgrade $chart --set image.tag=next
  eventually "the rollout is done" rolled_out v5
  kept upgrade 1
  eventually "all replicas run it" run_image $chart next
  same "webhooks, their CA and the Secret are as they were" "$trusted" "$(certificate $chart)"
  doctor $chart
  watched rollback app=web 5
  expect "a new image" web v6
  eventually "is half rolled out" halfway
  expect "helm rollback" "$helm" rollback $chart --namespace kruise-system --wait --timeout 3m
  eventually "the rollout is done" rolled_out v6
  kept rollback 1
  eventually "all replicas run the first image" run_image $chart "$version"
  same "webhooks, their CA and the Secret are as they were" "$trusted" "$(certificate $chart)"
  same "no pod was replaced" "$before" "$(identities)"
}

# --- BroadcastJob: one node after the other, whose pods end when they are told to ---
slow_job() { # NAME
  kubectl apply -f - <<E2
apiVersion: apps.kruise.io/v1beta1
kind: BroadcastJob
metadata: {name: $1, namespace: shop}
spec:
  parallelism: 1
  completionPolicy: {type: Always}
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "registry.example.com/shop/job:v1", resources: {requests: {cpu: 5m, memory: 8Mi}}}]
E2
}
at_work() { kubectl get pods -n shop -l "broadcastjob-name=$1" --field-selector status.phase=Running -o 'jsonpath={.items[*].metadata.name}'; }
# next_at_work JOB: its one pod that runs is none of those that were told to end.
next_at_work() {
  local pod
  pod=$(at_work "$1")
  [[ $pod =~ ^[^\ ]+$ && " ${told[*]-} " != *" $pod "* ]] || { echo "at work: $pod"; return 1; }
}
ends() { # JOB: the pod at work does, with code 0.
  local pod
  pod=$(at_work "$1")
  told+=("$pod")
  expect "$pod ends" signal TERM shop "$pod"
}
# ran JOB: one pod at a time, one for each node, and the job says so.
ran() {
  local worst pods
  eventually "the job is done" is "broadcastjobs.apps.kruise.io/$1" '{.status.phase} {.status.succeeded}' "completed 3"
  unwatched
  worst=$(awk '{ work[$2] = ($1 != "DELETED" && ($4 == "Pending" || $4 == "Running")); n = 0; for (pod in work) n += work[pod]
    if (n > worst) worst = n } END { print worst + 0 }' "$work/$1.seen")
  same "$1: one pod was at work at a time" 1 "$worst"
  pods=$(awk '$5 ~ /^node-/ { print $2, $5 }' "$work/$1.seen" | sort -u)
  same "$1: each node had one pod" "node-0 node-1 node-2" "$(cut -d' ' -f2 <<<"$pods" | sort | tr '\n' ' ' | sed 's/ $//')"
}
job_rollouts() {
  local chart=kruise-broadcastjob led told=()
  section "BroadcastJob: a leader that crashes in the middle"
  expect "a job" slow_job crashed
  eventually "its first pod runs" next_at_work crashed
  watched crashed broadcastjob-name=crashed 1
  led=$(leader $chart)
  expect "the leader $led crashes" crash "$led"
  ends crashed # while nobody leads
  eventually "the next one runs" next_at_work crashed
  ends crashed
  eventually "the last one runs" next_at_work crashed
  ends crashed
  ran crashed

  section "BroadcastJob: an upgrade in the middle"
  expect "a job" slow_job upgraded
  eventually "its first pod runs" next_at_work upgraded
  watched upgraded broadcastjob-name=upgraded 1
  ends upgraded
  eventually "the next one runs" next_at_work upgraded
  ends upgraded # and the next one begins while replicas are replaced, or before, or after
  expect "helm upgrade to another image" release upgrade $chart --set image.tag=next
  eventually "the last one runs" next_at_work upgraded
  eventually "all replicas run the new image" run_image $chart next
  ends upgraded
  ran upgraded
  doctor $chart
}

# --- SidecarSet ---
sidecars_done() { # IMAGE-TAG: in all five pods
  local images
  observed sidecarsets.apps.kruise.io/proxy &&
    is sidecarsets.apps.kruise.io/proxy '{.status.matchedPods} {.status.updatedPods} {.status.updatedReadyPods}' "5 5 5" || return
  images=$(kubectl get pods -n shop -l app=lone -o 'jsonpath={.items[*].status.containerStatuses[?(@.name=="proxy")].image}')
  [ "$(tr ' ' '\n' <<<"$images" | sort | uniq -c | xargs)" = "5 registry.example.com/shop/proxy:$1" ] || { echo "$images"; return 1; }
}
sidecars_halfway() {
  local status
  read -ra status <<<"$(field sidecarsets.apps.kruise.io/proxy '{.metadata.generation} {.status.observedGeneration} {.status.updatedPods}')"
  [ "${status[0]}" = "${status[1]}" ] && [ "${status[2]:-0}" -ge 1 ] && [ "${status[2]:-0}" -le 3 ]
}
sidecar_rollouts() {
  local chart=kruise-sidecarset before led name
  section "SidecarSet: a leader that crashes in the middle of a rollout"
  for name in one two three four; do expect "a pod" lone "lone-$name"; done
  eventually "five pods run with the sidecar" sidecars_done v2
  before=$(identities)
  watched "sidecars, crash of the leader" app=lone 5
  expect "a new image" sidecars v3
  eventually "is half rolled out" sidecars_halfway
  led=$(leader $chart)
  expect "the leader $led crashes" crash "$led"
  eventually "the rollout is done" sidecars_done v3
  kept "sidecars, crash of the leader" 1
  section "SidecarSet: an upgrade in the middle of a rollout"
  watched "sidecars, upgrade" app=lone 5
  expect "a new image" sidecars v4
  eventually "is half rolled out" sidecars_halfway
  expect "helm upgrade to another image" release upgrade $chart --set image.tag=next
  eventually "the rollout is done" sidecars_done v4
  kept "sidecars, upgrade" 1
  eventually "all replicas run the new image" run_image $chart next
  same "no pod was replaced" "$before" "$(identities)"
  doctor $chart
}

# --- Webhooks ---
# stream: creates pods one after the other until $work/enough is there; a line for each: CODE SIDECARS.
stream() {
  local n=0 code
  while [ ! -e "$work/enough" ]; do
    n=$((n + 1))
    code=$(curl -s -o "$work/created" -w '%{http_code}' -H 'Content-Type: application/json' "$1/api/v1/namespaces/shop/pods" --data \
      '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"stream-'$n'","labels":{"app":"lone","stream":"yes"}},"spec":{"nodeSelector":{"nowhere":"true"},"containers":[{"name":"main","image":"registry.example.com/shop/lone:v1"}]}}')
    echo "$code $(grep -c 'shop/proxy:' "$work/created") $(tr -d '\n' <"$work/created" | cut -c1-300)"
  done >"$work/stream"
}
replicas_end() {
  local chart=kruise-sidecarset proxy streaming pod trusted
  section "replicas that end one after the other under a stream of pod creations"
  kubectl proxy --port=0 >"$work/proxy" 2>&1 &
  pids+=($!)
  until proxy=$(sed -n 's/^Starting to serve on //p' "$work/proxy") && [ -n "$proxy" ]; do sleep 0.1; done
  trusted=$(certificate $chart)
  stream "http://$proxy" &
  streaming=$!
  for pod in $(replicas $chart); do
    expect "$pod is deleted" kubectl delete pod "$pod" -n kruise-system
    expect "another one is ready" kubectl rollout status deployment/$chart -n kruise-system --timeout 60s
  done
  touch "$work/enough"
  wait "$streaming"
  same "none of $(wc -l <"$work/stream") creations failed, none went without its sidecar" "" "$(grep -v '^201 1 ' "$work/stream" | head -5)"
  same "the certificate is as it was" "$trusted" "$(certificate $chart)"
  kubectl delete pods -n shop -l stream=yes --now >/dev/null 2>&1
}
