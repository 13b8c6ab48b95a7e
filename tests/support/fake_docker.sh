#!/bin/sh
# A small engine behind the `docker` command line: as much of it as the balancer calls, with real replicas for
# containers. All that it knows is in its folder, so that calls may come side by side and a test can look and meddle:
#
#   mode                what it does instead of its work, see below
#   calls               every call, one a line
#   containers/ID/      name, labels, address and pid; one without a pid was made and never ran
#   names/NAME/         names in use
#   addresses/N/        last numbers of the addresses in use
#   images/NAME         images
#   networks/NAME       networks; in the file, the fleet that its label says
#   events-FLEET        full ids of the containers of a fleet that ended
set -u
engine=${0%/bin/docker}
# The balancer finds nothing but this script on its path.
read -r PATH < "$engine/path"
export PATH
line=$(printf '%s\037' "$@")
printf '%s\n' "$line" >> "$engine/calls"

refuse() { # status, message
  printf '%s\n' "$2" >&2
  exit "$1"
}

is_running() { # id
  { read -r pid < "$engine/containers/$1/pid" && read -r address < "$engine/containers/$1/address"; } 2> /dev/null &&
    grep -qsaF "$address" "/proc/$pid/cmdline"
}

fleet_of() { # id
  sed -n 's/^ringmaster\.fleet=//p' "$engine/containers/$1/labels" 2> /dev/null
}

# Ends what runs, if anything does, and tells so as the engine does.
end() { # signal, id
  is_running "$2" || return 0
  kill "-$1" "$pid" 2> /dev/null
  while is_running "$2"; do sleep 0.01; done
  printf '%s\n' "$2" >> "$engine/events-$(fleet_of "$2")"
}

run() {
  name='' network='' labels=''
  while [ "$1" != -- ]; do
    case $1 in
      --name) name=$2 ;;
      --network) network=$2 ;;
      --label) labels="$labels$2
" ;;
    esac
    shift
  done
  from='docker: Error response from daemon:'
  [ -e "$engine/images/$2" ] || refuse 125 "$from No such image: $2:latest"
  [ "$mode" != 'disk full' ] || refuse 125 "$from mkdir /var/lib/docker/overlay2: no space left on device"
  mkdir "$engine/names/$name" 2> /dev/null ||
    refuse 125 "$from Conflict. The container name \"/$name\" is already in use by container \"…\"."
  id=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
  new=$engine/new-$id
  mkdir "$new"
  printf '%s\n' "$name" > "$new/name"
  printf '%s' "$labels" > "$new/labels"
  printf '%s\n' "$network" > "$new/network"
  if [ ! -e "$engine/networks/$network" ]; then
    # What was made stays, as with the real one.
    mv "$new" "$engine/containers/$id"
    refuse 125 "$from network $network not found"
  fi
  read -r subnet < "$engine/subnet"
  last=1
  until mkdir "$engine/addresses/$last" 2> /dev/null; do last=$((last + 1)); done
  printf '%s\n' "$subnet.$last" > "$new/address"
  "$engine/ringmaster" replica --listen "$subnet.$last:5000" --server-id "$name" < /dev/null > /dev/null 2>&1 &
  printf '%s\n' "$!" > "$new/pid"
  mv "$new" "$engine/containers/$id"
  # Until it has become the replica, or has ended already.
  until is_running "$id" || ! grep -qsa . "/proc/$!/cmdline"; do sleep 0.01; done
  [ "$mode" != crash ] || end KILL "$id"
  printf '%s\n' "$id"
}

ps() {
  label='' part='' format='{{.ID}}'
  while [ $# -gt 0 ]; do
    case $1 in
      label=*) label=${1#label=} ;;
      name=*) part=${1#name=} ;;
      --format) format=$2 ;;
    esac
    shift
  done
  for container in "$engine"/containers/*/; do
    container=${container%/}
    { read -r name < "$container/name"; } 2> /dev/null || continue
    [ -z "$label" ] || grep -qsxF "$label" "$container/labels" || continue
    case $name in *"$part"*) ;; *) continue ;; esac
    case $format in
      '{{.ID}}') printf '%s\n' "${container##*/}" ;;
      '{{.Names}}') printf '%s\n' "$name" ;;
      '{{.ID}} {{.Names}} {{.Label "ringmaster.fleet"}}')
        printf '%s %s %s\n' "${container##*/}" "$name" "$(fleet_of "${container##*/}")" ;;
      *) refuse 64 "a format that is not known here: $format" ;;
    esac
  done
}

describe() { # id
  running=true
  is_running "$1" || running=false
  { read -r name < "$engine/containers/$1/name" && read -r network < "$engine/containers/$1/network"; } 2> /dev/null ||
    return 1
  # One that does not run has no address.
  [ $running = true ] || address=''
  labels=$(sed 's/\([^=]*\)=\(.*\)/"\1":"\2"/' "$engine/containers/$1/labels" | paste -sd, -)
  printf '{"Id":"%s","Name":"/%s","State":{"Running":%s},"Config":{"Labels":{%s}},' "$1" "$name" $running "$labels"
  printf '"NetworkSettings":{"Networks":{"%s":{"IPAddress":"%s"}}}}' "$network" "$address"
}

inspect() { # ids
  status=0 comma=''
  printf '['
  for id; do
    if text=$(describe "$id"); then
      printf '%s%s' "$comma" "$text"
      comma=,
    else
      printf 'Error response from daemon: No such container: %s\n' "$id" >&2
      status=1
    fi
  done
  printf ']\n'
  exit $status
}

remove() { # id
  end KILL "$1"
  # Of two that remove it one does.
  if ! mv "$engine/containers/$1" "$engine/gone-$1" 2> /dev/null; then
    # Not a failure to the real one either, where it is done by force.
    printf 'Error response from daemon: No such container: %s\n' "$1" >&2
    return
  fi
  read -r name < "$engine/gone-$1/name"
  { read -r address < "$engine/gone-$1/address" && rmdir "$engine/addresses/${address##*.}"; } 2> /dev/null
  rm -r "$engine/gone-$1"
  rmdir "$engine/names/$name"
  printf '%s\n' "$1"
}

network() { # verb, then its words
  verb=$1
  fleet=''
  while [ "$1" != -- ]; do
    case $1 in ringmaster.fleet=*) fleet=${1#*=} ;; esac
    format=$1
    shift
  done
  file=$engine/networks/$2
  case $verb in
    create) printf '%s\n' "$fleet" > "$file" ;;
    *) [ -e "$file" ] || refuse 1 "Error response from daemon: network $2 not found" ;;
  esac
  case $verb:$format in
    rm:*) rm "$file" ;;
    inspect:'{{.Id}}') printf 'network-%s\n' "$2" ;;
    inspect:*) cat "$file" ;;
  esac
}

events() {
  for word; do
    case $word in label=ringmaster.fleet=*) fleet=${word##*=} ;; esac
  done
  # From the beginning: that a container has ended may be told twice, and no test has to know since when it is told.
  : >> "$engine/events-$fleet"
  exec tail -n +1 -f "$engine/events-$fleet"
}

read -r mode < "$engine/mode"
case $mode in
  fail) refuse 1 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?' ;;
  garbage)
    echo '<html>502 Bad Gateway</html>'
    exit 0
    ;;
  hang)
    # Under a name by which it is found in the end.
    ln -s "$(command -v sleep)" "$engine/sleep" 2> /dev/null
    exec "$engine/sleep" 60
    ;;
esac
case "$1 ${2-}" in
  'version '*) echo 28.0.0 ;;
  'image inspect')
    for image; do :; done
    [ -e "$engine/images/$image" ] || refuse 1 "Error response from daemon: No such image: $image:latest"
    echo sha256:0
    ;;
  'network '*) shift && network "$@" ;;
  'container inspect') shift 3 && inspect "$@" ;;
  'run '*) shift && run "$@" ;;
  'ps '*) shift && ps "$@" ;;
  'events '*) shift && events "$@" ;;
  'stop -t') end TERM "$5" && printf '%s\n' "$5" ;;
  'rm --force') remove "$4" ;;
  *) refuse 64 "a call that is not known here: $*" ;;
esac
