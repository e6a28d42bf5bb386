#!/bin/sh
# Collects facts about this machine, as JSON on standard output, for `crossdock doctor --from FILE`.
#
#   sh collect.sh > facts.json        (as root if possible: some facts are hidden from others)
#
# It changes nothing. It reads the files and asks the programs that are named below, each for a few seconds at most, and
# tries whether the kernel runs a program of 132 bytes for arm64 and one for amd64; these lie in a temporary folder,
# which is gone afterwards. It needs no network and sends nothing anywhere.
# Passwords stay here: in everything that it prints, what stands between :// and @ becomes ***, and of
# ~/.docker/config.json, where logins are, it only tells whether the file is there and in order.

set -u
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
umask 077

longest=65536 # bytes of a file or an answer
tmp=''
trap '[ -z "$tmp" ] || rm -rf "$tmp"' EXIT
trap 'exit 130' HUP INT TERM
for folder in "${TMPDIR:-/tmp}" /var/tmp /dev/shm /run; do
  tmp=$(mktemp -d "$folder/crossdock-XXXXXX" 2>/dev/null) && break
  tmp=''
done
if [ -z "$tmp" ]; then
  echo "collect.sh: no temporary folder can be made; set TMPDIR to one with some space" >&2
  exit 1
fi

# --- JSON ---------------------------------------------------------------------------------------------------------

tab=$(printf '\t')

# What a JSON string holds, of standard input. Bytes that are no UTF-8 go, where iconv is there to know them.
text() {
  head -c "$longest" | tr -d '\000-\010\013-\037\177' | utf8 |
    sed -e 's#://[^/@ "]*@#://***@#g' -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e "s/$tab/\\\\t/g" |
    awk '{ printf "%s%s", separator, $0; separator = "\\n" }'
}

if [ "$(printf 'a\377b' | iconv -c -f UTF-8 -t UTF-8 2>/dev/null)" = ab ]; then
  utf8() { iconv -c -f UTF-8 -t UTF-8 2>/dev/null; }
else
  utf8() { cat; }
fi

comma=''
begin() { # NAME: an object within the outer one
  printf '%s\n  "%s": {' "$comma" "$1"
  comma=''
}
end() {
  printf '\n  }'
  comma=,
}
string() { # NAME, its value from standard input; not in a pipe, as it would forget that a comma is due
  printf '%s\n    "%s": "' "$comma" "$(printf %s "$1" | text)"
  text
  printf '"'
  comma=,
}
value() { # NAME VALUE
  printf '%s' "$2" >"$tmp/text"
  string "$1" <"$tmp/text"
}

# --- Asking -------------------------------------------------------------------------------------------------------

have() { command -v "$1" >/dev/null 2>&1; }

if timeout -s KILL 5 true 2>/dev/null; then
  within() { # SECONDS COMMAND...
    timeout -s KILL "$@"
  }
else
  within() {
    seconds=$1
    shift
    "$@" &
    asked=$!
    (
      sleep "$seconds"
      kill -9 "$asked"
    ) >/dev/null 2>&1 &
    guard=$!
    wait "$asked"
    ended=$?
    kill "$guard" 2>/dev/null
    return "$ended"
  }
fi

ask() { # NAME COMMAND...: its exit code and what it said, if it is installed
  name=$1
  shift
  have "$1" || return 0
  within 10 "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
  code=$?
  printf '%s\n    "%s": {"exit": %s, "output": "' "$comma" "$name" "$code"
  text <"$tmp/out"
  printf '", "errors": "'
  head -c 4096 "$tmp/err" | text
  printf '"}'
  comma=,
}

file() { # PATH: its text, if it is there
  [ -f "$1" ] || return 0
  if [ -r "$1" ]; then
    cat "$1" >"$tmp/text" 2>/dev/null
    string "$1" <"$tmp/text"
  else
    printf '%s\tpermission denied\n' "$1" >>"$tmp/unread"
  fi
}

: >"$tmp/unread"

# --- Who asks: with sudo, the one who called it ---------------------------------------------------------------------

uid=$(id -u)
user=$(id -un 2>/dev/null || echo "$uid")
home=${HOME:-/}
if [ "$uid" = 0 ] && [ -n "${SUDO_USER:-}" ] && [ "${SUDO_USER:-}" != root ]; then
  user=$SUDO_USER
  home=$(awk -F: -v user="$user" '$1 == user { print $6 }' /etc/passwd)
fi
config=${DOCKER_CONFIG:-$home/.docker}/config.json

printf '{\n  "schema": "crossdock.facts/v1"'
comma=,

# --- Plain values -------------------------------------------------------------------------------------------------

begin values
value machine "$(uname -m)"
value kernel "$(uname -r)"
value system "$(uname -s)"
value uid "$uid"
value user "$user"
value user-uid "$(id -u "$user" 2>/dev/null)"
value groups "$(id -Gn "$user" 2>/dev/null)"
value group-ids "$(id -G "$user" 2>/dev/null)"
value page-size "$(getconf PAGESIZE 2>/dev/null || awk '/^KernelPageSize/ { print $2 * 1024; exit }' /proc/self/smaps)"
value cores "$(grep -c '^processor' /proc/cpuinfo)"
# The first 20 bytes of an ELF file tell what programs here are made for, whatever the kernel is.
value shell-header "$(od -A n -v -t x1 -N 20 /bin/sh | tr -d ' \n')"
value namespaces "$(for kind in pid uts cgroup; do readlink "/proc/self/ns/$kind"; done 2>/dev/null | tr '\n' ' ')"
value process-1 "$(cat /proc/1/comm 2>/dev/null)"
if [ -d /run/systemd/system ]; then value systemd yes; fi
if [ -d /run/openrc ]; then value openrc yes; fi
if [ -e /.dockerenv ]; then value dockerenv yes; fi
if [ -e /run/.containerenv ]; then value containerenv yes; fi
if [ "$uid" = 0 ]; then value container "$(cat /proc/1/environ 2>/dev/null | tr '\0' '\n' | sed -n 's/^container=//p')"; fi
for manager in apt-get dnf yum zypper apk pacman; do
  if have "$manager"; then value "manager $manager" "$(command -v "$manager")"; fi
done
for program in docker dockerd containerd runc crun podman buildah nerdctl skopeo buildkitd buildctl curl wget gpg \
  newuidmap fuse-overlayfs slirp4netns pasta netavark iptables nft systemctl rc-service; do
  if have "$program"; then value "program $program" "$(command -v "$program")"; fi
done
socket=/var/run/docker.sock
case ${DOCKER_HOST:-} in unix://*) socket=${DOCKER_HOST#unix://} ;; esac
if [ -S "$socket" ]; then
  value socket "$socket"
  # shellcheck disable=SC2012 # stat is not everywhere, and its options differ
  value socket-mode "$(ls -lLdn "$socket" | awk '{ print $1, $3, $4 }')"
  if [ -w "$socket" ]; then value socket-writable yes; fi
fi
if [ -f "$config" ]; then
  if [ ! -r "$config" ]; then
    printf '%s\tpermission denied\n' "$config" >>"$tmp/unread"
  elif ! grep -q '[^[:space:]]' "$config"; then
    value docker-config empty
  elif have python3; then
    if python3 -c 'import json, sys; assert isinstance(json.load(open(sys.argv[1])), dict)' "$config" 2>/dev/null; then
      value docker-config valid
    else
      value docker-config invalid
    fi
  else # without a parser: does it begin and end as an object?
    case $(tr -d ' \t\r\n' <"$config") in
      "{"*"}") value docker-config valid ;;
      *) value docker-config invalid ;;
    esac
  fi
  if grep -Eq '"experimental"[[:space:]]*:[[:space:]]*"?(enabled|true)' "$config" 2>/dev/null; then
    value docker-config-experimental yes
  fi
fi
for list in subuid subgid; do
  if grep -Eq "^($user|$(id -u "$user" 2>/dev/null)):" "/etc/$list" 2>/dev/null; then value "$list" yes; fi
done
end

# --- Files --------------------------------------------------------------------------------------------------------

begin files
for path in /etc/*-release /etc/*_release /etc/*_version /etc/*-version /etc/.kyinfo /etc/kylin-build \
  /etc/rpi-issue /etc/issue /proc/version /proc/meminfo /proc/filesystems /proc/1/cgroup /proc/device-tree/model \
  /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name /etc/docker/daemon.json /etc/default/docker \
  /etc/systemd/system/docker.service.d/*.conf /etc/systemd/system/docker.service /etc/containers/registries.conf \
  /etc/containers/registries.conf.d/*.conf /etc/buildkit/buildkitd.toml "$home/.config/buildkit/buildkitd.toml" \
  "$home/.docker/buildx/buildkitd.default.toml" /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
  /etc/apt/sources.list.d/*.sources /etc/apt/apt.conf.d/*proxy* /etc/modules-load.d/*binfmt*; do
  file "$path"
done
if [ ! -e /etc/os-release ]; then file /usr/lib/os-release; fi
# Of each kind of core one; what differs from core to core tells nothing.
grep -Ev '^(processor|core id|apicid|initial apicid|cpu MHz|BogoMIPS|bogomips|physical id|siblings)[[:space:]]*:' \
  /proc/cpuinfo | awk '!seen[$0]++' >"$tmp/text"
string /proc/cpuinfo <"$tmp/text"
# Without options and sources: those hold names of servers and users.
cut -d ' ' -f 2,3 /proc/mounts >"$tmp/text"
string /proc/mounts <"$tmp/text"
end

# --- Folders ------------------------------------------------------------------------------------------------------

begin folders
for path in /etc/docker/certs.d /etc/containers/certs.d; do
  if [ -d "$path" ]; then
    ls "$path" >"$tmp/text" 2>/dev/null
    string "$path" <"$tmp/text"
  fi
done
end

# --- Environment --------------------------------------------------------------------------------------------------

begin environment
for name in http_proxy https_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY DOCKER_HOST \
  DOCKER_CONTEXT DOCKER_BUILDKIT DOCKER_CLI_EXPERIMENTAL BUILDX_BUILDER WSL_DISTRO_NAME KUBERNETES_SERVICE_HOST; do
  eval "set=\${$name:-}"
  # shellcheck disable=SC2154 # set by eval
  if [ -n "$set" ]; then value "$name" "$set"; fi
done
end

# --- What programs say --------------------------------------------------------------------------------------------

begin commands
ask "docker --version" docker --version
ask "docker version" docker version --format '{{json .}}'
ask "docker info" docker info --format '{{json .}}'
ask "docker buildx version" docker buildx version
ask "docker buildx ls" docker buildx ls
ask "podman version" podman --version
ask "buildah version" buildah --version
ask "nerdctl version" nerdctl --version
ask "skopeo version" skopeo --version
ask "containerd version" containerd --version
ask "runc version" runc --version
ask "crun version" crun --version
ask "gpg version" gpg --version
ask "df" df -P -k / /var/lib /var/lib/docker /var/lib/containers "${TMPDIR:-/tmp}"
ask "virtual" systemd-detect-virt --vm
ask "in container" systemd-detect-virt --container
ask "modinfo binfmt_misc" modinfo binfmt_misc
ask "systemd-binfmt enabled" systemctl is-enabled systemd-binfmt.service
ask "binfmt-support enabled" systemctl is-enabled binfmt-support.service
ask "openrc services" rc-update show
packages='docker* moby* containerd* runc podman* buildah nerdctl skopeo qemu-user* qemu-*-static* binfmt* netavark'
packages="$packages crun fuse-overlayfs slirp4netns uidmap passt aardvark-dns"
# shellcheck disable=SC2016,SC2086 # dpkg's own variables; a list of patterns
set -f && ask "dpkg" dpkg-query -W -f='${db:Status-Abbrev}\t${Package}\t${Version}\n' $packages && set +f
set +f
ask "rpm" rpm -qa --qf '%{NAME}\t%{VERSION}-%{RELEASE}\n'
ask "apk" apk info -v
ask "pacman" pacman -Q
ask "swapon" cat /proc/swaps
end

# --- Emulation ----------------------------------------------------------------------------------------------------

binfmt=/proc/sys/fs/binfmt_misc
machines='aarch64 arm x86_64 i386 riscv64 s390x ppc64le loongarch64 mips64el' # as QEMU calls them
begin handlers # in the folder's own order
if [ -e "$binfmt/register" ]; then
  # shellcheck disable=SC2012 # the order matters, and the kernel's names are plain
  ls -U "$binfmt" 2>/dev/null | while read -r name; do
    if [ "$name" != register ] && [ -f "$binfmt/$name" ]; then echo "$name"; fi
  done >"$tmp/names"
  while read -r name; do string "$name" <"$binfmt/$name"; done <"$tmp/names"
fi
end

begin at-boot
for path in /etc/binfmt.d/*.conf /run/binfmt.d/*.conf /usr/local/lib/binfmt.d/*.conf /usr/lib/binfmt.d/*.conf \
  /lib/binfmt.d/*.conf /usr/share/binfmts/* /var/lib/binfmts/* /etc/init.d/*binfmt* /etc/conf.d/*binfmt*; do
  if [ -L /lib ]; then case $path in /lib/*) continue ;; esac fi
  case $path in
    */qemu-*) case " $machines " in *" $(basename "$path" .conf | sed 's/^qemu-//;s/-static$//') "*) ;; *) continue ;; esac ;;
  esac
  file "$path"
done
end

begin interpreters
{
  if [ -s "$tmp/names" ]; then
    while read -r name; do sed -n 's/^interpreter //p' "$binfmt/$name"; done <"$tmp/names"
  fi
  for machine in $machines; do
    echo "/usr/libexec/qemu-binfmt/$machine-binfmt-P"
    for folder in /usr/bin /usr/local/bin; do printf '%s\n' "$folder/qemu-$machine-static" "$folder/qemu-$machine"; done
  done
} | awk '!seen[$0]++' >"$tmp/interpreters"
while read -r path; do
  case $path in *qemu*) ;; *) continue ;; esac
  if [ ! -f "$path" ] || [ ! -x "$path" ]; then continue; fi
  real=$(readlink -f "$path" 2>/dev/null || echo "$path")
  within 5 "$real" --version >"$tmp/out" 2>/dev/null </dev/null
  {
    head -n 1 "$tmp/out"
    # The program headers tell whether it needs a loader.
    head -c 4096 "$real" | od -A n -v -t x1 | tr -d ' \n'
    echo
    # By the name that is asked for, not the file it leads to: packages own links too.
    if have dpkg-query; then
      within 5 dpkg-query -S "$real" 2>/dev/null | sed -n '1s/:.*//p'
    elif have rpm; then
      within 5 rpm -qf --qf '%{NAME}\n' "$real" 2>/dev/null | grep -v ' '
    fi
  } >"$tmp/text"
  string "$path" <"$tmp/text"
done <"$tmp/interpreters"
end

# --- The proof: programs that end at once with exit code 0 --------------------------------------------------------

write_arm64() {
  printf '\177\105\114\106\002\001\001\000\000\000\000\000\000\000\000\000\002\000\267\000\001\000\000\000\170\000\100'
  printf '\000\000\000\000\000\100\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\100\000'
  printf '\070\000\001\000\000\000\000\000\000\000\001\000\000\000\005\000\000\000\000\000\000\000\000\000\000\000\000'
  printf '\000\100\000\000\000\000\000\000\000\100\000\000\000\000\000\204\000\000\000\000\000\000\000\204\000\000\000'
  printf '\000\000\000\000\000\000\001\000\000\000\000\000\250\013\200\122\000\000\200\122\001\000\000\324'
}
write_amd64() {
  printf '\177\105\114\106\002\001\001\000\000\000\000\000\000\000\000\000\002\000\076\000\001\000\000\000\170\000\100'
  printf '\000\000\000\000\000\100\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\100\000'
  printf '\070\000\001\000\000\000\000\000\000\000\001\000\000\000\005\000\000\000\000\000\000\000\000\000\000\000\000'
  printf '\000\100\000\000\000\000\000\000\000\100\000\000\000\000\000\201\000\000\000\000\000\000\000\201\000\000\000'
  printf '\000\000\000\000\000\000\001\000\000\000\000\000\270\074\000\000\000\061\377\017\005'
}

# As root in a folder with nothing else in it, as in a container. Where programs may not be run from the temporary
# folder (noexec), the machine's own one does not run either, and then it tells nothing.
begin runs
mkdir "$tmp/root"
chmod 755 "$tmp" "$tmp/root"
write_arm64 >"$tmp/root/arm64"
write_amd64 >"$tmp/root/amd64"
chmod 755 "$tmp/root/arm64" "$tmp/root/amd64"
for architecture in arm64 amd64; do
  if [ "$uid" = 0 ] && within 10 chroot "$tmp/root" "/$architecture" >/dev/null 2>&1 </dev/null; then
    value "$architecture" "0 in an empty root"
  else
    within 10 "$tmp/root/$architecture" >/dev/null 2>&1 </dev/null
    value "$architecture" "$?"
  fi
done
end

# --- What could not be read ---------------------------------------------------------------------------------------

begin unread
while IFS=$tab read -r what why; do value "$what" "$why"; done <"$tmp/unread"
end
printf '\n}\n'
