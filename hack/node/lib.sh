# shellcheck shell=bash
# What up, down, list, power and exec share. Sourced, never run. Builds on hack/cluster/lib.sh.
#
# A node is a set of namespaces of its own (mounts, processes, network) whose first process is hack/node/init. Ending
# that process ends everything on the node, and its mounts, interfaces and iptables rules are gone with the namespaces.
# On the machine itself remain, until down: one bridge per cluster, two processes (registry, forwarder), empty cgroups.
#
# State, in the cluster's directory: nodes/net (which network), nodes/bin, nodes/shared/pids, nodes/NODE/…

# shellcheck source=hack/cluster/lib.sh
. "$here/../cluster/lib.sh"

# What callers test for when they want to leave real nodes out rather than fail.
readonly NO_ROOT=77

root_or_leave() {
  [ "$(id -u)" = 0 ] && return
  say "real nodes need root (namespaces, mounts, a bridge); simulated nodes do not: see hack/simnode"
  exit $NO_ROOT
}

# use_nodes CLUSTER: sets cluster, dir, and where the nodes' state is.
use_nodes() {
  use "$1"
  nodes=$dir/nodes
}

# The network 10.NET.0.0/16: host .0.1, node I .0.(I+2), its pods .(I+1).0/24.
net() { cat "$nodes/net"; }
bridge() { echo "kruise-$(net)"; }
node_names() {
  local path
  for path in "$nodes"/*/index; do [ ! -e "$path" ] || basename "$(dirname "$path")"; done
}

# init_of NODE: pid of the first process of a node, as this machine counts. Its command line names the node's folder.
init_of() {
  local pid line
  pid=$(cat "$nodes/$1/init.pid" 2>/dev/null) || return 1
  line=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || return 1
  [[ $line == *"$nodes/$1/"* ]] && alive "$pid" && echo "$pid"
}

cgroup_roots() {
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo /sys/fs/cgroup
  else
    awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/self/mounts
  fi
}
cgroup_of() { echo "kruise-$cluster-$1"; }

# drop_cgroups NODE: the processes in them are gone, but the kernel may need a moment.
drop_cgroups() {
  local root path deadline=$((SECONDS + 10))
  for root in $(cgroup_roots); do
    path=$root/$(cgroup_of "$1")
    while [ -d "$path" ]; do
      find "$path" -depth -type d -exec rmdir {} \; 2>/dev/null || true
      [ -d "$path" ] || break
      [ "$SECONDS" -lt "$deadline" ] || { say "$path is still in use"; break; }
      sleep 0.05
    done
  done
}

make_cgroups() {
  local root path
  for root in $(cgroup_roots); do
    path=$root/$(cgroup_of "$1")
    mkdir -p "$path"
    for file in cpuset.cpus cpuset.mems; do
      # Without these no process may enter a new cpuset of version 1.
      [ ! -e "$path/$file" ] || [ -e /sys/fs/cgroup/cgroup.controllers ] || cat "$root/$file" >"$path/$file"
    done
    [ ! -e "$path/cgroup.subtree_control" ] || sed 's/[^ ]*/+&/g' "$path/cgroup.controllers" >"$path/cgroup.subtree_control"
  done
}

# power_off NODE: as if the plug was pulled. Everything in its namespaces is killed by the kernel.
power_off() {
  local pid
  if pid=$(init_of "$1"); then
    kill -KILL "$pid"
    while alive "$pid"; do sleep 0.02; done
  fi
  # The kernel takes the interface away with its network namespace, but later.
  ip link delete "kr$(net)-$(cat "$nodes/$1/index")" 2>/dev/null || true
  rm -f "$nodes/$1/init.pid" "$nodes/$1/up"
  drop_cgroups "$1"
}

# power_on NODE: starts its first process and gives it its network interface.
power_on() {
  local node=$1 index pid n bin
  index=$(cat "$nodes/$node/index")
  bin=$(cat "$nodes/bin")
  n=$(net)
  make_cgroups "$node"
  # Not a child of ours, and with none of our descriptors.
  setsid unshare --mount --net --pid --fork --propagation private --mount-proc \
    "$here/init" "$nodes/$node/" "$n" "$index" "$bin" <&- >>"$nodes/$node/init.log" 2>&1 8>&- 9>&- &
  local parent=$!
  disown
  local deadline=$((SECONDS + 10))
  # Not before it has left our network.
  until pid=$(cat "/proc/$parent/task/$parent/children" 2>/dev/null) && pid=${pid%% *} && [ -n "$pid" ] &&
    [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ] &&
    echo "$pid" >"$nodes/$node/init.pid" && init_of "$node" >/dev/null; do
    [ "$SECONDS" -lt "$deadline" ] || die "$node: no first process; see $nodes/$node/init.log"
    sleep 0.02
  done
  ip link add "kr$n-$index" type veth peer name eth0 netns "$pid"
  ip link set "kr$n-$index" master "$(bridge)" up
}

# end_nodes: everything that up made; nothing else.
end_nodes() {
  [ -d "$nodes" ] || return 0
  local name pid
  for name in $(node_names); do power_off "$name"; done
  if [ -e "$nodes/net" ]; then
    for name in registry forward; do
      pid=$(cat "$nodes/shared/$name.pid" 2>/dev/null) || continue
      ! grep -qsaF "$(cat "$nodes/bin")/support" "/proc/$pid/cmdline" || kill "$pid" 2>/dev/null || true
    done
    ip link delete "$(bridge)" 2>/dev/null || true
  fi
  rm -rf "$nodes"
  rmdir /var/lib/cni /var/lib/kubelet 2>/dev/null || true
}
