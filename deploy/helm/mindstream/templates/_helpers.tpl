{{/* Names and labels. */}}

{{- define "mindstream.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "mindstream.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "mindstream.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "mindstream.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "mindstream.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "mindstream.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* By which a component's pods are found; takes (list root component). */}}
{{- define "mindstream.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "mindstream.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "mindstream.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mindstream.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "mindstream.claim" -}}
{{- default (printf "%s-home" (include "mindstream.fullname" .)) .Values.home.existingClaim -}}
{{- end -}}

{{- define "mindstream.image" -}}
{{- $root := index . 0 -}}
{{ $root.Values.image.repository }}-{{ index . 1 }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}
{{- end -}}

{{/* The Secrets that hold the passwords: yours, or the one that the chart makes; empty where there is none. */}}
{{- define "mindstream.kafkaSecret" -}}
{{- if .Values.kafka.existingSecret }}{{ .Values.kafka.existingSecret }}
{{- else if .Values.kafka.password }}{{ include "mindstream.fullname" . }}{{ end -}}
{{- end -}}

{{- define "mindstream.redisSecret" -}}
{{- if .Values.redis.existingSecret }}{{ .Values.redis.existingSecret }}
{{- else if .Values.redis.password }}{{ include "mindstream.fullname" . }}{{ end -}}
{{- end -}}

{{- define "mindstream.kafkaPasswordKey" -}}
{{- if .Values.kafka.existingSecret }}{{ .Values.kafka.passwordKey }}{{ else }}kafka-password{{ end -}}
{{- end -}}

{{- define "mindstream.redisPasswordKey" -}}
{{- if .Values.redis.existingSecret }}{{ .Values.redis.passwordKey }}{{ else }}redis-password{{ end -}}
{{- end -}}

{{/* What is wrong with values together; what is wrong with one alone is the schema's. */}}
{{- define "mindstream.check" -}}
{{- $updater := .Values.updater -}}
{{- $scaled := ne $updater.autoscaling.kind "none" -}}
{{- $most := ternary $updater.autoscaling.maxReplicas $updater.replicas $scaled | int -}}
{{- if gt $most (int .Values.kafka.partitions) -}}
{{- fail (printf "%s is %d, and kafka.partitions is %d: an updater beyond one for each partition has nothing to do; set fewer, or the number of partitions that the topic has" (ternary "updater.autoscaling.maxReplicas" "updater.replicas" $scaled) $most (int .Values.kafka.partitions)) -}}
{{- end -}}
{{- if and $scaled (gt (int $updater.autoscaling.minReplicas) (int $updater.autoscaling.maxReplicas)) -}}
{{- fail (printf "updater.autoscaling.minReplicas is %d and maxReplicas %d; the first must be no more" (int $updater.autoscaling.minReplicas) (int $updater.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if and .Values.api.autoscaling.enabled (gt (int .Values.api.autoscaling.minReplicas) (int .Values.api.autoscaling.maxReplicas)) -}}
{{- fail (printf "api.autoscaling.minReplicas is %d and maxReplicas %d; the first must be no more" (int .Values.api.autoscaling.minReplicas) (int .Values.api.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if and $scaled (eq $updater.kind "StatefulSet") -}}
{{- fail "updater.kind is StatefulSet with autoscaling: partitions of an updater with a name that stays wait for it when it is scaled away; right is Deployment, or updater.autoscaling.kind none" -}}
{{- end -}}
{{- if and (hasPrefix "SASL" .Values.kafka.securityProtocol) (not .Values.kafka.saslMechanism) -}}
{{- fail (printf "kafka.securityProtocol is %s, and kafka.saslMechanism is empty; right is one such as SCRAM-SHA-512" .Values.kafka.securityProtocol) -}}
{{- end -}}
{{- if and .Values.kafka.password .Values.kafka.existingSecret -}}
{{- fail "kafka.password and kafka.existingSecret are both set; right is one of them" -}}
{{- end -}}
{{- if and .Values.redis.password .Values.redis.existingSecret -}}
{{- fail "redis.password and redis.existingSecret are both set; right is one of them" -}}
{{- end -}}
{{- if and .Values.api.auth.existingSecret (or .Values.api.auth.apiKey .Values.api.auth.writeKey) -}}
{{- fail "api.auth.existingSecret is set beside api.auth.apiKey or writeKey; right is one of them" -}}
{{- end -}}
{{- end -}}

{{/* KEDA's name of the SASL mechanism. */}}
{{- define "mindstream.kedaSasl" -}}
{{- $known := dict "PLAIN" "plaintext" "SCRAM-SHA-256" "scram_sha256" "SCRAM-SHA-512" "scram_sha512" -}}
{{- if not (hasKey $known .Values.kafka.saslMechanism) -}}
{{- fail (printf "kafka.saslMechanism is %s, which the chart cannot tell KEDA; set updater.autoscaling.authenticationRef to a TriggerAuthentication of your own" .Values.kafka.saslMechanism) -}}
{{- end -}}
{{- get $known .Values.kafka.saslMechanism -}}
{{- end -}}
