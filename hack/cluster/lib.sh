# shellcheck shell=bash
# What up, down, env, list, kubeconfig-for and watchdog share: where a cluster's state lives, which
# processes are its own, and how they are ended. Sourced, never run; flags of the components are in up.
#
# State of cluster NAME, all in one directory:
#   ports pids/ logs/ pki/ etcd/ kubeconfig users/ bin parents/ expires options ready

cache=${KRUISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kruise-rs}
clusters=$cache/clusters

# help_if_asked ARG: prints the comment at the top of the running script.
help_if_asked() {
  case ${1:-} in
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
  esac
}

say() { printf '%s: %s\n' "${cluster:-hack/cluster}" "$*" >&2; }
die() { say "$*"; exit 1; }

# use NAME: sets cluster and dir. The name becomes part of a path that down removes, so it is checked.
use() {
  [[ $1 =~ ^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$ ]] || die "not a cluster name (up to 40 of a-z, 0-9 and -): '$1'"
  cluster=$1
  dir=$clusters/$1
}

# lock SECONDS: one up, down or watchdog at a time per cluster. The file is removed with the cluster, so
# a lock on a file that was meanwhile removed does not count.
lock() {
  local file=$clusters/.$cluster.lock
  mkdir -p "$clusters"
  while true; do
    exec 9>"$file"
    flock -w "$1" 9 || return 1
    [ "$file" -ef /proc/self/fd/9 ] && return 0
  done
}

unlock_and_forget() {
  rm -f "$clusters/.$cluster.lock"
  exec 9>&-
}

# alive PID: it runs (a process that ended but was not waited for does not).
alive() {
  local state
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 1
  [ -n "$state" ] && [ "$state" != Z ] && [ "$state" != X ]
}

# pid_of COMPONENT: prints its pid, if that pid still is this cluster's process. Numbers are reused, so
# the command line has to name the cluster's directory.
pid_of() {
  local pid line
  pid=$(cat "$dir/pids/$1" 2>/dev/null) || return 1
  [[ $pid =~ ^[0-9]+$ ]] || return 1
  line=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || return 1
  [[ $line == *"$dir/"* ]] || return 1
  alive "$pid" || return 1
  echo "$pid"
}

# components: those that were started, without the watchdog.
components() {
  local file
  for file in "$dir"/pids/*; do
    [ -e "$file" ] && [ "${file##*/}" != watchdog ] && echo "${file##*/}"
  done
  return 0
}

# dead_component: prints the first one that was started and does not run any more; fails if there is none.
dead_component() {
  local name
  for name in $(components); do
    pid_of "$name" >/dev/null || { echo "$name"; return 0; }
  done
  return 1
}

# running: it became ready once and everything it was started with still runs.
running() { [ -e "$dir/ready" ] && ! dead_component >/dev/null; }

# end SECONDS COMPONENT...: SIGTERM, and SIGKILL for those that are still there after the deadline.
end() {
  local deadline=$((SECONDS + $1)) name pid left
  shift
  for name in "$@"; do
    if pid=$(pid_of "$name"); then kill -TERM "$pid" 2>/dev/null || true; fi
  done
  while true; do
    left=()
    for name in "$@"; do
      if pid=$(pid_of "$name"); then left+=("$pid"); fi
    done
    [ ${#left[@]} -gt 0 ] || break
    [ "$SECONDS" -lt "$deadline" ] || kill -KILL "${left[@]}" 2>/dev/null || true
    sleep 0.05
  done
}

# etcd goes last: the others write to it while they shut down.
end_all() {
  end 5 watchdog kube-scheduler kube-controller-manager kube-apiserver
  end 3 etcd
}

# The host-path provisioner of kube-controller-manager writes below /tmp and nowhere else. Which of those
# directories are this cluster's is read from etcd's files, for that works without a server too.
remove_volumes() {
  local path
  [ -d "$dir/etcd" ] && [ -d /tmp/hostpath_pv ] || return 0
  { grep -raohE '/tmp/hostpath_pv/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' "$dir/etcd" || true; } | sort -u |
    while IFS= read -r path; do rm -rf "$path"; done
  rmdir /tmp/hostpath_pv 2>/dev/null || true # only if no other cluster has one
}

# wipe: ends what runs and removes the state. The caller holds the lock.
wipe() {
  # Real nodes hold mounts below dir: they go first.
  [ ! -d "$dir/nodes" ] || "$(dirname "${BASH_SOURCE[0]}")/../node/down" "$cluster" >&2 || true
  end_all
  remove_volumes
  rm -rf "$dir"
}

# started_at PID: when it was started, in clock ticks since boot: tells a pid from its next user.
started_at() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  stat=${stat##*) } # the command name before it may contain anything
  cut -d' ' -f20 <<<"$stat"
}

# write_kubeconfig FILE USER CERT_PREFIX: a kubeconfig that needs no other file.
write_kubeconfig() {
  cat >"$1.partial" <<YAML
apiVersion: v1
kind: Config
clusters:
- name: $cluster
  cluster:
    server: $(cat "$dir/server")
    certificate-authority-data: $(base64 -w0 "$dir/pki/ca.crt")
users:
- name: "$2"
  user:
    client-certificate-data: $(base64 -w0 "$3.crt")
    client-key-data: $(base64 -w0 "$3.key")
contexts:
- name: $cluster
  context:
    cluster: $cluster
    user: "$2"
current-context: $cluster
YAML
  chmod 600 "$1.partial"
  mv "$1.partial" "$1"
}

# authority: makes ca, server certificate and ServiceAccount keys in pki/.
authority() {
  local bin
  bin=$(cat "$dir/bin")
  if [ -x "$bin/controlplane" ]; then
    "$bin/controlplane" certs "$dir/pki"
    return
  fi
  openssl_key "$dir/pki/ca.key"
  openssl req -x509 -new -key "$dir/pki/ca.key" -days 3650 -out "$dir/pki/ca.crt" -config <(printf '%s\n' \
    '[req]' 'prompt=no' 'distinguished_name=dn' 'x509_extensions=ext' '[dn]' 'CN=kruise-test-ca' \
    '[ext]' 'basicConstraints=critical,CA:TRUE' 'keyUsage=critical,keyCertSign,digitalSignature' 'subjectKeyIdentifier=hash')
  openssl_issue "$dir/pki/server" '/CN=kube-apiserver' 'extendedKeyUsage=serverAuth' \
    'subjectAltName=DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.0.0.1'
  openssl_key "$dir/pki/sa.key"
  openssl ec -in "$dir/pki/sa.key" -pubout -out "$dir/pki/sa.pub" 2>/dev/null
}

# client_cert FILE USER [GROUP...]: makes FILE.crt and FILE.key.
client_cert() {
  local bin file=$1 user=$2 subject='' group
  shift 2
  bin=$(cat "$dir/bin")
  if [ -x "$bin/controlplane" ]; then
    "$bin/controlplane" certs "$dir/pki" "$file" "$user" "$@"
    return
  fi
  for group in "$@"; do subject+="/O=${group//\//\\/}"; done
  openssl_issue "$file" "$subject/CN=${user//\//\\/}" 'extendedKeyUsage=clientAuth'
}

openssl_key() {
  command -v openssl >/dev/null || die "openssl is needed to make certificates for the binaries in KUBEBUILDER_ASSETS"
  (umask 077 && openssl ecparam -name prime256v1 -genkey -noout -out "$1")
}

# openssl_issue FILE SUBJECT EXTENSION...
openssl_issue() {
  local file=$1 subject=$2
  shift 2
  openssl_key "$file.key"
  openssl req -new -key "$file.key" -subj "$subject" -config <(printf '%s\n' '[req]' 'distinguished_name=dn' '[dn]') |
    openssl x509 -req -CA "$dir/pki/ca.crt" -CAkey "$dir/pki/ca.key" -set_serial "0x$(openssl rand -hex 15)" \
      -days 3650 -extfile <(printf '%s\n' 'keyUsage=digitalSignature' "$@") -out "$file.crt" 2>/dev/null
}
