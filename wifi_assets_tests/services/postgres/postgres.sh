#!/usr/bin/env bash
# A real PostgreSQL server (Debian's package) on 127.0.0.1, without containers.
#
#   postgres.sh install             apt-get as root; else say what to install. Nothing to do when it is there
#   postgres.sh start  DATA PORT    make the cluster if DATA has none, start, return when it serves
#   postgres.sh stop   DATA PORT    end it cleanly; the data stays
#   postgres.sh kill   DATA PORT    SIGKILL to the server and its backends, for crash tests; the data stays
#   postgres.sh status DATA PORT    print the pid, exit 0 when it runs
#
# Superuser `wifi`, database `wifi` (UTF-8). The URL:
#
#   postgresql+psycopg://wifi@127.0.0.1:PORT/wifi       SQLAlchemy with psycopg 3 (WIFI_SQL_URL)
#   postgresql://wifi@127.0.0.1:PORT/wifi               libpq, psycopg2, dagster-postgres
#
# Environment, all optional; the first two count when the cluster is made:
#   POSTGRES_PASSWORD   password of `wifi`; every connection then needs it (SCRAM). Default: none is asked for
#   POSTGRES_TLS=1      serve TLS with a certificate for 127.0.0.1 and localhost from a CA of our own, and refuse
#                       connections without it; the CA's certificate is DATA/ca.pem (?sslmode=verify-full&sslrootcert=…)
#   POSTGRES_SETTINGS   server settings for this start, e.g. 'fsync=off work_mem=64MB'
#   POSTGRES_USER_OS    as root: the account to run as (default: postgres, else nobody)
#
# The server refuses to run as root. As root, another account runs it, and the cluster lives in a folder of
# its own under /var/tmp that this account can reach, since DATA may lie below folders that it may not enter
# (pytest's are 0700). DATA/cluster names the folder in either case. A folder whose DATA is gone is removed
# by the next start.
set -euo pipefail

BASE=/var/tmp
PREFIX=wifi-assets-postgres

die() { echo "postgres.sh: $*" >&2; exit 1; }

# The newest installed version's programs; Debian keeps them out of PATH.
bin() {
  local found
  found=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
  [ -x "${found:-}/initdb" ] || found=$(dirname "$(command -v initdb 2>/dev/null || echo /none)")
  [ -x "$found/initdb" ] || die "no PostgreSQL server on this machine: apt-get install postgresql"
  echo "$found"
}

install_server() {
  ! (bin) > /dev/null 2>&1 || return 0
  [ "$(id -u)" = 0 ] || die "no PostgreSQL server on this machine, and only root may install: sudo apt-get install postgresql"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql openssl
}

account() {
  [ "$(id -u)" = 0 ] || { id -un; return; }
  local name=${POSTGRES_USER_OS:-postgres}
  id -u "$name" > /dev/null 2>&1 || name=nobody
  echo "$name"
}

as_account() { # COMMAND…, from a folder that the account can enter
  cd /
  if [ "$(id -u)" = 0 ]; then
    local name; name=$(account)
    setpriv --reuid "$name" --regid "$(id -g "$name")" --clear-groups env HOME=/ "$@"
  else
    "$@"
  fi
}

cluster_of() { cat "$1/cluster" 2>/dev/null || true; } # DATA

sweep() { # remove root's clusters whose DATA is gone or has another one by now
  local folder data
  for folder in "$BASE/$PREFIX".*/; do
    folder=${folder%/}
    data=$(cat "$folder/data-folder" 2>/dev/null) || continue
    [ "$(cluster_of "$data")" != "$folder" ] || continue
    [ -z "$(pid_of "$folder")" ] || continue
    rm -rf "$folder"
  done
}

# The postmaster's pid, or nothing. A pid that now belongs to another program does not count.
pid_of() { # CLUSTER
  local pid
  [ -n "$1" ] && pid=$(head -n 1 "$1/pg/postmaster.pid" 2>/dev/null) || return 0
  [ -r "/proc/${pid:-none}/cmdline" ] || return 0
  tr '\0' '\n' < "/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$1/pg" && echo "$pid" || true
}

certificates() { # CLUSTER DATA
  local folder=$1
  (
    cd "$folder"
    umask 077
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=wifi_assets test CA" \
      -keyout ca.key -out ca.pem
    openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout server.key -out server.csr
    printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\n' > server.ext
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 \
      -extfile server.ext -out server.pem
  ) 2> "$folder/openssl.log" || { cat "$folder/openssl.log" >&2; die "openssl made no certificate"; }
  cp "$folder/ca.pem" "$2/ca.pem"
}

make_cluster() { # DATA
  local data=$1 folder method=trust host=host arguments=()
  if [ "$(id -u)" = 0 ]; then
    folder=$(mktemp -d "$BASE/$PREFIX.XXXXXXXX")
  else
    folder=$data/postgres
    mkdir -p "$folder"
  fi
  if [ -n "${POSTGRES_PASSWORD:-}" ]; then
    method=scram-sha-256
    (umask 077; printf '%s\n' "$POSTGRES_PASSWORD" > "$folder/password")
    arguments=(--pwfile "$folder/password")
  fi
  if [ "${POSTGRES_TLS:-}" = 1 ]; then host=hostssl; certificates "$folder" "$data"; fi
  [ "$(id -u)" != 0 ] || chown -R "$(account)" "$folder"
  # --no-sync: a cluster that a power cut spoils before its first start is made anew.
  as_account "$BIN/initdb" --pgdata "$folder/pg" --username wifi --auth "$method" --encoding UTF8 \
    --locale C.UTF-8 --no-sync ${arguments[@]+"${arguments[@]}"} > "$folder/initdb.log" 2>&1 ||
    { cat "$folder/initdb.log" >&2; rm -rf "$folder"; die "initdb failed"; }
  rm -f "$folder/password"
  printf '%s all all 127.0.0.1/32 %s\n' "$host" "$method" > "$folder/pg/pg_hba.conf"
  {
    # TCP alone: a socket folder would be one more path to agree on.
    printf "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\n"
    [ "$host" = host ] || printf "ssl = on\nssl_cert_file = '%s'\nssl_key_file = '%s'\n" \
      "$folder/server.pem" "$folder/server.key"
  } >> "$folder/pg/postgresql.conf"
  # In this order: another start that sweeps meanwhile must not take the new folder for an orphan.
  echo "$folder" > "$data/cluster"
  echo "$data" > "$folder/data-folder"
}

start() { # DATA PORT
  local data=$1 port=$2 folder setting options
  BIN=$(bin)
  mkdir -p "$data"; data=$(cd "$data" && pwd -P)
  sweep
  folder=$(cluster_of "$data")
  if [ ! -s "$folder/pg/PG_VERSION" ]; then make_cluster "$data"; folder=$(cluster_of "$data"); fi
  [ -z "$(pid_of "$folder")" ] || die "already running: $data"
  # A killed server that nobody has reaped yet counts as alive to PostgreSQL's own check of this file. Its
  # second check, that no backend is attached to the shared memory, stays.
  rm -f "$folder/pg/postmaster.pid"
  options="-p $port"
  for setting in ${POSTGRES_SETTINGS:-}; do options+=" -c $setting"; done
  : > "$folder/server.log"
  [ "$(id -u)" != 0 ] || chown "$(account)" "$folder/server.log"
  as_account "$BIN/pg_ctl" start --pgdata "$folder/pg" --log "$folder/server.log" --wait --timeout 60 --silent \
    -o "$options" > /dev/null || { tail -n 40 "$folder/server.log" >&2; die "the server did not start: $data"; }
  # --single would need the server down; the first connection that finds no database makes it.
  export PGPASSWORD=${POSTGRES_PASSWORD:-} PGCONNECT_TIMEOUT=10
  local psql=("$BIN/psql" -X -q -A -t -h 127.0.0.1 -p "$port" -U wifi -d postgres -v ON_ERROR_STOP=1)
  [ "$(as_account "${psql[@]}" -c "SELECT 1 FROM pg_database WHERE datname = 'wifi'")" = 1 ] ||
    as_account "${psql[@]}" -c "CREATE DATABASE wifi"
}

stop() { # DATA
  local folder; folder=$(cluster_of "$1")
  [ -n "$(pid_of "$folder")" ] || return 0
  as_account "$(bin)/pg_ctl" stop --pgdata "$folder/pg" --mode fast --wait --timeout 60 --silent
}

kill_all() { # DATA
  local pid pids one tries=200
  pid=$(pid_of "$(cluster_of "$1")")
  [ -n "$pid" ] || return 0
  # Backends outlive their postmaster for a moment and would hold the shared memory.
  pids="$pid $(cat "/proc/$pid/task/$pid/children" 2>/dev/null || true)"
  for one in $pids; do kill -KILL "$one" 2>/dev/null || true; done
  for one in $pids; do
    while kill -0 "$one" 2>/dev/null && ! grep -q '^State:.*Z' "/proc/$one/status" 2>/dev/null; do
      [ $((tries--)) -gt 0 ] || die "process $one outlived SIGKILL"
      sleep 0.05
    done
  done
}

case "${1:-}" in
  install) install_server ;;
  start) [ $# -ge 3 ] || die "start DATA PORT"; start "$2" "$3" ;;
  stop) stop "${2:?DATA}" ;;
  kill) kill_all "${2:?DATA}" ;;
  status) pid=$(pid_of "$(cluster_of "${2:?DATA}")"); [ -n "$pid" ] && echo "$pid" ;;
  *) sed -n '2,/^set -/{/^set -/d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
