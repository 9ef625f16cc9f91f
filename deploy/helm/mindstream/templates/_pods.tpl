{{/* What all pods have: variables, volumes and the frame of a pod. */}}

{{- define "mindstream.env" -}}
- {name: MINDSTREAM_HOME, value: /data}
- {name: MINDSTREAM_LOG_FORMAT, value: json}
- {name: XDG_CACHE_HOME, value: /tmp/cache}  # the root is read-only, and kernels are compiled once for each pod
- {name: KAFKA_BOOTSTRAP_SERVERS, value: {{ .Values.kafka.bootstrapServers | quote }}}
- {name: KAFKA_SECURITY_PROTOCOL, value: {{ .Values.kafka.securityProtocol | quote }}}
- {name: MINDSTREAM_TOPIC, value: {{ .Values.kafka.topic | quote }}}
- {name: MINDSTREAM_GROUP, value: {{ .Values.kafka.group | quote }}}
- {name: MINDSTREAM_PARTITIONS, value: {{ .Values.kafka.partitions | quote }}}
{{- with .Values.kafka.saslMechanism }}
- {name: KAFKA_SASL_MECHANISM, value: {{ . | quote }}}
{{- end }}
{{- with .Values.kafka.username }}
- {name: KAFKA_SASL_USERNAME, value: {{ . | quote }}}
{{- end }}
{{- if include "mindstream.kafkaSecret" . }}
- {name: KAFKA_SASL_PASSWORD_FILE, value: /secrets/kafka/{{ include "mindstream.kafkaPasswordKey" . }}}
{{- end }}
{{- with .Values.kafka.tls }}
{{- if .existingSecret }}
{{- if .caKey }}
- {name: KAFKA_SSL_CAFILE, value: /secrets/kafka-tls/{{ .caKey }}}
{{- end }}
{{- if .certKey }}
- {name: KAFKA_SSL_CERTFILE, value: /secrets/kafka-tls/{{ .certKey }}}
- {name: KAFKA_SSL_KEYFILE, value: /secrets/kafka-tls/{{ required "kafka.tls.certKey is set, and kafka.tls.keyKey is empty; right is the key's name in the Secret" .keyKey }}}
{{- end }}
{{- end }}
{{- end }}
- {name: MINDSTREAM_REDIS, value: {{ .Values.redis.url | quote }}}
- {name: MINDSTREAM_REDIS_PREFIX, value: {{ .Values.redis.prefix | quote }}}
- {name: MINDSTREAM_REDIS_REPLICAS, value: {{ .Values.redis.replicas | quote }}}
{{- if include "mindstream.redisSecret" . }}
- {name: MINDSTREAM_REDIS_PASSWORD_FILE, value: /secrets/redis/{{ include "mindstream.redisPasswordKey" . }}}
{{- end }}
{{- if .Values.mapping }}
- {name: MINDSTREAM_MAPPING, value: /config/mapping.toml}
{{- end }}
{{- range $name, $value := .Values.settings }}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- range $name, $from := .Values.secretSettings }}
- {name: {{ $name }}, valueFrom: {secretKeyRef: {name: {{ $from.secret | quote }}, key: {{ $from.key | quote }}}}}
{{- end }}
{{- end -}}

{{/* takes (list root writes), the second: whether the pod writes to the home */}}
{{- define "mindstream.volumeMounts" -}}
{{- $root := index . 0 -}}
- {name: home, mountPath: /data{{ if not (index . 1) }}, readOnly: true{{ end }}}
- {name: tmp, mountPath: /tmp}
{{- if $root.Values.mapping }}
- {name: config, mountPath: /config, readOnly: true}
{{- end }}
{{- if include "mindstream.kafkaSecret" $root }}
- {name: kafka, mountPath: /secrets/kafka, readOnly: true}
{{- end }}
{{- if $root.Values.kafka.tls.existingSecret }}
- {name: kafka-tls, mountPath: /secrets/kafka-tls, readOnly: true}
{{- end }}
{{- if include "mindstream.redisSecret" $root }}
- {name: redis, mountPath: /secrets/redis, readOnly: true}
{{- end }}
{{- with $root.Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "mindstream.volumes" -}}
- name: home
  persistentVolumeClaim: {claimName: {{ include "mindstream.claim" . }}}
- name: tmp
  emptyDir: {sizeLimit: {{ .Values.temporarySize }}}
{{- if .Values.mapping }}
- name: config
  configMap: {name: {{ include "mindstream.fullname" . }}}
{{- end }}
{{- with include "mindstream.kafkaSecret" . }}
- name: kafka
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .Values.kafka.tls.existingSecret }}
- name: kafka-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with include "mindstream.redisSecret" . }}
- name: redis
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A pod is made anew where what it has read at its start is another one now. */}}
{{- define "mindstream.podMetadata" -}}
{{- $root := index . 0 -}}
annotations:
  checksum/config: {{ printf "%s%s" $root.Values.mapping (toJson $root.Values.settings) | sha256sum }}
  checksum/secret: {{ toJson (list $root.Values.kafka.password $root.Values.redis.password $root.Values.api.auth.apiKey $root.Values.api.auth.writeKey) | sha256sum }}
  {{- with $root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
labels:
  {{- include "mindstream.labels" $root | nindent 2 }}
  app.kubernetes.io/component: {{ index . 1 }}
  {{- with $root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* takes (list root component-values) */}}
{{- define "mindstream.podFrame" -}}
{{- $root := index . 0 -}}
{{- $own := index . 1 -}}
serviceAccountName: {{ include "mindstream.serviceAccount" $root }}
automountServiceAccountToken: false
# Else Kubernetes sets MINDSTREAM_API_PORT to an address, where a service is called mindstream-api.
enableServiceLinks: false
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Probes at a port's pages of health. An updater that stands still for 30 s fails /livez by itself. */}}
{{- define "mindstream.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: {{ . }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 2
{{- end -}}
