{{- /* The controller's flags. */ -}}
{{- define "kruise-broadcastjob.args" -}}
- --leader-election-namespace={{ include "kruise-broadcastjob.leaseNamespace" . }}
- --leader-election-lease-duration={{ .Values.leaderElection.leaseDuration }}
- --leader-election-renew-deadline={{ .Values.leaderElection.renewDeadline }}
- --leader-election-retry-period={{ .Values.leaderElection.retryPeriod }}
- --openkruise-lease={{ .Values.openkruise.lease }}
{{- if .Values.openkruise.allowCoexistence }}
- --allow-coexistence
{{- end }}
{{- with .Values.watchNamespace }}
- --namespace={{ . }}
{{- end }}
{{- with .Values.featureGates }}
{{- $gates := list }}
{{- range $name, $on := . }}
{{- $gates = append $gates (printf "%s=%t" $name $on) }}
{{- end }}
- --feature-gates={{ join "," $gates }}
{{- end }}
- --workers={{ int .Values.workers }}
- --max-writes-in-flight={{ int .Values.maxWritesInFlight }}
- --metrics-addr={{ .Values.listenAddress }}:{{ int .Values.metrics.port }}
- --logging-format={{ .Values.logging.format }}
- {{ printf "--log=%s" .Values.logging.level | quote }}
- --assign-bcj-pods-by-scheduler={{ .Values.assignPodsByScheduler }}
{{- if .Values.webhook.enabled }}
- --webhook-addr={{ .Values.listenAddress }}:{{ int .Values.webhook.port }}
- --webhook-service={{ .Release.Namespace }}/{{ include "kruise-broadcastjob.webhookService" . }}:{{ int .Values.webhook.servicePort }}
- --webhook-failure-policy={{ .Values.webhook.failurePolicy }}
- --webhook-timeout={{ .Values.webhook.timeout }}
- --webhook-drain={{ int .Values.webhook.drainSeconds }}s
{{- if eq .Values.webhook.certificate.source "own" }}
- --webhook-cert-validity={{ .Values.webhook.certificate.validity }}
{{- else }}
- --webhook-cert-dir=/webhook-certificate
{{- end }}
{{- end }}
{{- range .Values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}
