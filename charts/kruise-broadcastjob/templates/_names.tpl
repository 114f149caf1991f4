{{- /* Names and labels. */ -}}

{{- define "kruise-broadcastjob.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "kruise-broadcastjob.fullname" -}}
{{- $name := include "kruise-broadcastjob.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "kruise-broadcastjob.selector" -}}
app.kubernetes.io/name: {{ include "kruise-broadcastjob.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kruise-broadcastjob.labels" -}}
{{ include "kruise-broadcastjob.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: controller
app.kubernetes.io/part-of: kruise
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "kruise-broadcastjob.serviceAccount" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "kruise-broadcastjob.fullname" . -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- define "kruise-broadcastjob.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- /* Where Lease and certificate are. */ -}}
{{- define "kruise-broadcastjob.leaseNamespace" -}}
{{- .Values.leaderElection.namespace | default .Release.Namespace -}}
{{- end -}}

{{- /* A duration such as 1h30m in milliseconds, to be compared. */ -}}
{{- define "kruise-broadcastjob.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|s|m|h)" . -1 -}}
{{- $sum = add $sum (mul (regexFind "^[0-9]+" . | int64) (index $units (regexFind "[a-z]+$" .))) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{- /* A quantity such as 2Gi in bytes; nothing if there is none. */ -}}
{{- define "kruise-broadcastjob.bytes" -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 -}}
{{- $unit := regexFind "[a-zA-Z]*$" . -}}
{{- if and (regexMatch "^[0-9]+(\\.[0-9]+)?[a-zA-Z]*$" .) (hasKey $units $unit) -}}
{{- mulf (regexFind "^[0-9.]+" .) (index $units $unit) | int64 -}}
{{- end -}}
{{- end -}}

{{- define "kruise-broadcastjob.webhookService" -}}
{{- include "kruise-broadcastjob.fullname" . }}-webhook
{{- end -}}

{{- /* The Secret that is mounted; nothing if the controller keeps its certificate itself. */ -}}
{{- define "kruise-broadcastjob.mountedSecret" -}}
{{- $certificate := .Values.webhook.certificate -}}
{{- if and .Values.webhook.enabled (eq $certificate.source "secret") -}}
{{- required "webhook.certificate.secretName: source is secret, so the name of a Secret is needed" $certificate.secretName -}}
{{- else if and .Values.webhook.enabled (eq $certificate.source "cert-manager") -}}
{{- include "kruise-broadcastjob.fullname" . }}-webhook-tls
{{- end -}}
{{- end -}}
