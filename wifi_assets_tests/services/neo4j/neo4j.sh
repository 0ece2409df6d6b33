#!/usr/bin/env bash
# A Neo4j Community server on this machine, without containers: Java 17 or newer, jars by Maven.
#
#   neo4j.sh install             fetch the jars, once
#   neo4j.sh start DATA PORT     serve Bolt on 127.0.0.1:PORT; returns when it answers
#   neo4j.sh stop DATA PORT      end it cleanly
#   neo4j.sh kill DATA PORT      SIGKILL; the data stays
#   neo4j.sh status DATA PORT    exit code 0 if it serves
#
# Environment:
#   NEO4J_PASSWORD   of the user neo4j, at least 8 characters, taken at the first start of a DATA
#                    folder (default: wifi-assets-tests)
#   NEO4J_TLS        folder with private.key and public.crt (PEM): Bolt then takes TLS only
#   NEO4J_HEAP       largest heap (default: 512m)
#   NEO4J_TX_MAX     memory of all transactions together (default: Neo4j's, 70 % of the heap)
#   NEO4J_JVM_OPTS   more options for Java (default: -XX:TieredStopAtLevel=1, which about halves the
#                    CPU time of a start; give one blank for the full compiler, as benchmarks need)
#   WIFI_SERVICES_CACHE   where the jars live (default: wifi-assets-services in the user's cache)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${WIFI_SERVICES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wifi-assets-services}/neo4j
version=$(sed -n 's:.*<neo4j\.version>\(.*\)</.*:\1:p' "$here/pom.xml")
jars=$cache/$version
password=${NEO4J_PASSWORD:-wifi-assets-tests}

fail() {
    echo "neo4j: $*" >&2
    exit 1
}

need_java() {
    command -v java > /dev/null || fail "needs Java 17 or newer: apt-get install openjdk-17-jre-headless"
}

install() {
    [ ! -d "$jars" ] || return 0
    need_java
    command -v mvn > /dev/null || fail "needs Maven to fetch the server once: apt-get install maven"
    mkdir -p "$cache"
    # Two test runs may come at once; the second waits and finds the folder.
    exec 8> "$cache/lock"
    flock 8
    [ ! -d "$jars" ] || return 0
    local fresh
    fresh=$(mktemp -d "$cache/fresh.XXXXXX")
    cp "$here/pom.xml" "$fresh/pom.xml"
    if ! mvn --batch-mode --quiet --no-transfer-progress -Dstyle.color=never --file "$fresh/pom.xml" \
        org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$fresh/jars"; then
        rm -rf "$fresh"
        fail "Maven could not fetch version $version (see above)"
    fi
    mv "$fresh/jars" "$jars" # last, so that the folder is there only when it is whole
    rm -rf "$fresh"
    exec 8>&-
}

# The server's process id, if it lives: a pid file may name a stranger after a crash.
server_pid() {
    local pid
    pid=$(cat "$data/server.pid" 2> /dev/null) || return 1
    tr '\0' '\n' < "/proc/$pid/cmdline" 2> /dev/null | grep -qxF -- "--home-dir=$data" || return 1
    echo "$pid"
}

listens() {
    (exec 9<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null
}

# Bolt's handshake: the magic number, then proposals (5.0 to 5.8); an answer is the version chosen.
# A TLS-only server closes on plain bytes, so there openssl's handshake tells.
answers() {
    if [ -n "${NEO4J_TLS:-}" ]; then
        timeout 5 openssl s_client -connect "127.0.0.1:$port" < /dev/null > /dev/null 2>&1
        return
    fi
    local reply
    reply=$({
        exec 9<> "/dev/tcp/127.0.0.1/$port" || exit 1
        printf '\x60\x60\xb0\x17\0\x08\x08\x05\0\0\0\0\0\0\0\0\0\0\0\0' >&9
        timeout 5 head -c 4 <&9 | od -An -tx1 | tr -d ' \n'
    } 2> /dev/null) || return 1
    [[ $reply =~ ^[0-9a-f]{8}$ && $reply != 00000000 ]]
}

configure() {
    mkdir -p "$data"/{conf,logs,run,import,plugins,licenses}
    cat > "$data/conf/neo4j.conf" << EOF
server.default_listen_address=127.0.0.1
server.default_advertised_address=127.0.0.1
server.bolt.listen_address=127.0.0.1:$port
server.bolt.advertised_address=127.0.0.1:$port
server.http.enabled=false
server.https.enabled=false
server.memory.pagecache.size=64m
dbms.usage_report.enabled=false
# else each database takes 256 MiB of disk at birth
db.tx_log.preallocate=false
db.tx_log.rotation.size=16m
db.tx_log.rotation.retention_policy=2 files
# a test with a wrong password must not lock out the next one
dbms.security.auth_max_failed_attempts=0
# else a stop waits out two quiet periods of 5 s
internal.dbms.bolt.netty_server_shutdown_quiet_period=0
EOF
    if [ -n "${NEO4J_TX_MAX:-}" ]; then
        echo "dbms.memory.transaction.total.max=$NEO4J_TX_MAX" >> "$data/conf/neo4j.conf"
    fi
    if [ -n "${NEO4J_TLS:-}" ]; then
        cat >> "$data/conf/neo4j.conf" << EOF
server.bolt.tls_level=REQUIRED
dbms.ssl.policy.bolt.enabled=true
dbms.ssl.policy.bolt.base_directory=$(realpath "$NEO4J_TLS")
dbms.ssl.policy.bolt.client_auth=NONE
EOF
    fi
}

set_password() {
    [ ! -e "$data/data/databases/system" ] && [ ! -e "$data/data/dbms/auth.ini" ] || return 0
    [ "${#password}" -ge 8 ] || fail "NEO4J_PASSWORD needs at least 8 characters"
    NEO4J_HOME=$data NEO4J_CONF=$data/conf java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -cp "$jars/*" org.neo4j.cli.AdminTool dbms set-initial-password "$password" \
        > "$data/logs/password.log" 2>&1 || {
        cat "$data/logs/password.log" >&2
        fail "the first password could not be set"
    }
}

start() {
    need_java
    install
    if server_pid > /dev/null; then fail "already runs on $data"; fi
    if listens; then fail "port $port is taken"; fi
    configure
    set_password
    # shellcheck disable=SC2086  # a list of options
    setsid java -Xms64m "-Xmx${NEO4J_HEAP:-512m}" -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError \
        -Djava.awt.headless=true -Dio.netty.tryReflectionSetAccessible=true \
        --add-opens=java.base/java.nio=ALL-UNNAMED --add-opens=java.base/java.io=ALL-UNNAMED \
        --add-opens=java.base/sun.nio.ch=ALL-UNNAMED ${NEO4J_JVM_OPTS--XX:TieredStopAtLevel=1} \
        -cp "$jars/*" org.neo4j.server.CommunityEntryPoint \
        "--home-dir=$data" "--config-dir=$data/conf" < /dev/null > "$data/logs/console.log" 2>&1 &
    local pid=$!
    echo "$pid" > "$data/server.pid"
    local limit=$((SECONDS + 150))
    until answers; do
        if ! kill -0 "$pid" 2> /dev/null; then
            tail -n 30 "$data/logs/console.log" >&2
            fail "the server ended while it started"
        fi
        if ((SECONDS > limit)); then
            kill -KILL "$pid"
            tail -n 30 "$data/logs/console.log" >&2
            fail "the server was not ready after 150 s"
        fi
        sleep 0.2
    done
    echo "neo4j $version serves bolt://127.0.0.1:$port (process $pid)"
}

end_with() {
    local pid
    pid=$(server_pid) || return 0
    kill "-$1" "$pid"
    local limit=$((SECONDS + 60))
    # Not kill -0: a process that nobody has reaped yet still takes signals. And a killed process has
    # lost its command line a moment before its port.
    while server_pid > /dev/null || listens; do
        ((SECONDS <= limit)) || fail "process $pid did not end within 60 s of SIG$1"
        sleep 0.1
    done
    rm -f "$data/server.pid"
}

verb=${1:-}
case "$verb:$#" in
    install:1) install ;;
    start:3 | stop:3 | kill:3 | status:3)
        data=$(realpath -m "$2")
        port=$3
        case $verb in
            start) start ;;
            stop) end_with TERM ;;
            kill) end_with KILL ;;
            status) server_pid > /dev/null && answers ;;
        esac
        ;;
    *)
        sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
        exit 2
        ;;
esac
