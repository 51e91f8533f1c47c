{{- define "clusterset-mesh.image" -}}
{{ .Values.image | default (printf "meshctl.dev/clusterset-mesh:%s" .Chart.AppVersion) }}
{{- end }}
