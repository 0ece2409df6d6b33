#!/usr/bin/env bash
# A server with MongoDB's wire protocol on this machine, without containers: SecantusDB, over the storage
# engine of mongod, from Python packages. It has change streams, resume tokens, logins (SCRAM-SHA-256) and TLS.
#
#   mongo.sh install                      fetch the server, once, into a virtual environment of its own
#   mongo.sh start DATA PORT [ARGUMENT…]  serve on 127.0.0.1:PORT; returns when it answers
#   mongo.sh stop DATA PORT               end it cleanly
#   mongo.sh kill DATA PORT               SIGKILL; what was acknowledged stays
#   mongo.sh status DATA PORT             print the process id; exit code 1 when it does not run
#
# It answers as the replica set `secantus` of one node. Arguments make other servers of it:
#   --standalone                 no replica set: change streams are refused, as by such a mongod (code 40573)
#   --auth                       a login is needed; make users (createUser) in a run without it
#   --oplog-max-entries 200      forgets soon: older resume tokens are refused (code 286)
#   --tls-cert-file F --tls-key-file F    TLS only
#
# Environment:
#   MONGO_CACHE           memory of the storage engine (default: 256M)
#   WIFI_SERVICES_CACHE   where the server lives (default: wifi-assets-services in the user's cache)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${WIFI_SERVICES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wifi-assets-services}/mongo
venv=$cache/venv

fail() { echo "mongo: $*" >&2; exit 1; }

install() {
  local wanted
  wanted="$(cksum < "$here/requirements.txt") $(python3 --version)"
  mkdir -p "$cache"
  ( # Two test runs may come at once; the second waits and finds it done.
    flock 8
    [[ $(cat "$cache/installed" 2> /dev/null) != "$wanted" ]] || exit 0
    rm -rf "$venv" "$cache/installed"
    python3 -m venv "$venv" || fail "python3 makes no virtual environment: apt-get install python3-venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt" ||
      fail "pip could not fetch the server (see above); it needs Python 3.11 or newer"
    echo "$wanted" > "$cache/installed"
  ) 8> "$cache/lock"
}

running() { # prints the process id, or nothing: a pid file may name a stranger after a crash
  local pid
  pid=$(cat "$data/server.pid" 2> /dev/null) || return 0
  if tr '\0' '\n' 2> /dev/null < "/proc/$pid/cmdline" | grep -qxF -- "$data/db"; then echo "$pid"; fi
}

# Waits for an answer to `hello`, which needs no login, while the server's process lives.
answers() { # PID [TLS-ARGUMENT…]
  "$venv/bin/python" - "$port" "$@" << 'P'
import os, sys, time
from pymongo import MongoClient
from pymongo.errors import PyMongoError
port, pid, tls = int(sys.argv[1]), int(sys.argv[2]), any(a.startswith("--tls-cert-file") for a in sys.argv)
options = {"tls": True, "tlsInsecure": True} if tls else {}
end = time.monotonic() + 60
while time.monotonic() < end:
    try:
        os.kill(pid, 0)
        with MongoClient("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=200, **options) as client:
            client.admin.command("hello")
        sys.exit(0)
    except PyMongoError:
        time.sleep(0.05)
    except ProcessLookupError:
        break
sys.exit(1)
P
}

finish() { # SIGNAL
  local pid tenths=300
  pid=$(running)
  [[ -n $pid ]] || return 0
  kill "-$1" "$pid"
  while [[ -n $(running) ]]; do
    ((tenths-- > 0)) || fail "process $pid does not end"
    sleep 0.1
  done
}

start() { # [ARGUMENT…]
  [[ -z $(running) ]] || return 0
  install
  mkdir -p "$data/db"
  ! (exec 9<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null || fail "something else listens on port $port"
  : > "$data/empty.toml" # naming one keeps the server from looking for another in the user's folders
  # A session of its own: Ctrl-C at the terminal is for the tests, which then stop the server in order.
  setsid "$venv/bin/secantusd-py" --config "$data/empty.toml" --host 127.0.0.1 --port "$port" \
    --storage-path "$data/db" --cache-size "${MONGO_CACHE:-256M}" --sync-on-commit "$@" \
    < /dev/null > "$data/server.log" 2>&1 &
  local pid=$!
  echo "$pid" > "$data/server.pid"
  answers "$pid" "$@" || { finish KILL; tail -n 20 "$data/server.log" >&2; fail "the server on port $port does not serve"; }
}

verb=${1:-}
if [[ $verb == install ]]; then install; exit; fi
[[ $# -ge 3 && $verb =~ ^(start|stop|kill|status)$ ]] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
mkdir -p "$2"
data=$(cd "$2" && pwd -P) port=$3
case $verb in
  start) start "${@:4}" ;;
  stop) finish TERM ;;
  kill) finish KILL ;;
  status) pid=$(running); [[ -n $pid ]] && echo "$pid" ;;
esac
