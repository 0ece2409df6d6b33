#!/usr/bin/env bash
# Apache Kafka (KRaft) on 127.0.0.1, for tests and developers.
#
#   kafka.sh install             the broker's jars by Maven, and a class archive that halves each start
#   kafka.sh start DATA PORT     returns when it serves; PORT for clients, PORT+1 for the controller
#   kafka.sh stop DATA PORT      ends it cleanly
#   kafka.sh kill DATA PORT      SIGKILL; start again keeps the data
#   kafka.sh status DATA PORT    prints the process id; exit code 1 when it is not running
#
# Environment, all optional. The listener on PORT stays as it is: no login, no encryption, all rights.
#   KAFKA_SASL_PORT       one more listener: SASL in the clear (PLAIN, SCRAM-SHA-256)
#   KAFKA_SASL_SSL_PORT   one more listener: SASL over TLS
#   KAFKA_SSL_PORT        one more listener: TLS, where the client's certificate is its login (User:CN=client)
#   KAFKA_USERS           logins, "name:password name:password"; fixed when DATA is new
#   KAFKA_ACL             1: a login may only do what ACLs allow it
#   KAFKA_PROPERTIES      further lines for server.properties; they win
#   KAFKA_HEAP            the broker's -Xmx (384m)
#   WIFI_SERVICES_CACHE   folder of everything that install fetches
# Certificates (certs.sh) lie in DATA/certs: ca.pem for clients.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${WIFI_SERVICES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wifi-assets-services}/kafka
jars=$cache/jars
archive=$cache/classes.jsa
cluster=d2lmaV9hc3NldHNfdGVzdA

fail() { echo "kafka.sh: $*" >&2; exit 1; }

java_run() { # FOLDER OPTION… CLASS ARGUMENT…
  local folder=$1 shared=(); shift
  [[ ! -e $archive ]] || shared=("-XX:SharedArchiveFile=$archive")
  # SerialGC and the first compiler only: the same throughput for half the CPU time on a small machine.
  # A session of its own: Ctrl-C at the terminal is for the tests, which then stop the server in order.
  exec setsid java "${shared[@]}" "-Xmx${KAFKA_HEAP:-384m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -Djava.awt.headless=true "-Dlog4j2.configurationFile=$folder/log4j2.properties" -cp "$jars/*" "$@"
}

install() {
  command -v java > /dev/null || fail "needs Java 17 or newer: apt-get install openjdk-17-jre-headless"
  mkdir -p "$cache"
  ( flock 8
    local wanted; wanted="$(cksum < "$here/pom.xml") $(java -version 2>&1 | head -1)"
    [[ $(cat "$cache/installed" 2> /dev/null) != "$wanted" ]] || exit 0
    command -v mvn > /dev/null || fail "needs Maven to fetch the broker: apt-get install maven"
    rm -rf "$jars" "$archive" "$cache/installed"
    mvn -B -q -ntp -f "$here/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
      -DincludeScope=runtime "-DoutputDirectory=$jars" || fail "Maven could not fetch the broker's jars"
    local trial; trial=$(mktemp -d)
    read -r _ port < <(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(*s.getsockname())')
    launch "$trial" "$port" "-XX:ArchiveClassesAtExit=$archive.new" 8>&-
    finish "$trial" TERM
    mv "$archive.new" "$archive"
    rm -rf "$trial"
    echo "$wanted" > "$cache/installed"
  ) 8> "$cache/lock"
}

running() { # FOLDER; prints the broker's process id, or nothing
  local pid; pid=$(cat "$1/pid" 2> /dev/null) || return 0
  # After a reboot the number may belong to a stranger.
  if tr '\0' '\n' 2> /dev/null < "/proc/$pid/cmdline" | grep -qxF "$1/server.properties"; then echo "$pid"; fi
}

write_configuration() { # FOLDER PORT
  local folder=$1 port=$2 listeners=PLAINTEXT://127.0.0.1:$2 name variable entry plain=
  for name in SASL SASL_SSL SSL; do
    variable=KAFKA_${name}_PORT
    [[ -z ${!variable:-} ]] || listeners+=",$name://127.0.0.1:${!variable}"
  done
  for entry in ${KAFKA_USERS:-}; do plain+=" user_${entry%%:*}=\"${entry#*:}\""; done
  {
    cat << P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=$listeners,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=$listeners
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
log.dirs=$folder/log
auto.create.topics.enable=false

# One broker: every internal topic has one copy and few partitions.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=4194304
log.cleaner.threads=1

# After SIGKILL the node registers again only when its old session is over.
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000

# Retention goes by the message's timestamp: under the usual seven days a replayed capture of last year
# would be deleted at once. A topic that asks for retention gets it within seconds.
log.retention.ms=-1
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=1000
log.segment.delete.delay.ms=1000
P
    if [[ -n ${KAFKA_SASL_PORT:-}${KAFKA_SASL_SSL_PORT:-} ]]; then
      for name in sasl sasl_ssl; do
        echo "listener.name.$name.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256"
        echo "listener.name.$name.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required$plain;"
        echo "listener.name.$name.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;"
      done
    fi
    if [[ -n ${KAFKA_SSL_PORT:-}${KAFKA_SASL_SSL_PORT:-} ]]; then
      [[ -e $folder/certs/server.pem ]] || bash "$here/certs.sh" "$folder/certs" || fail "openssl made no certificates"
      for name in ssl sasl_ssl; do
        echo "listener.name.$name.ssl.keystore.type=PEM"
        echo "listener.name.$name.ssl.keystore.location=$folder/certs/server.pem"
      done
      echo "listener.name.ssl.ssl.truststore.type=PEM"
      echo "listener.name.ssl.ssl.truststore.location=$folder/certs/ca.pem"
      echo "listener.name.ssl.ssl.client.auth=required"
    fi
    if [[ ${KAFKA_ACL:-} == 1 ]]; then
      echo "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer"
      echo "super.users=User:ANONYMOUS"
    fi
    printf '%s\n' "${KAFKA_PROPERTIES:-}"
  } > "$folder/server.properties"
  cat > "$folder/log4j2.properties" << P
appender.file.type=File
appender.file.name=file
appender.file.fileName=$folder/server.log
appender.file.append=false
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{ISO8601} %p %m (%c)%n
rootLogger.level=warn
rootLogger.appenderRef.file.ref=file
logger.started.name=kafka.server.KafkaRaftServer
logger.started.level=info
P
}

launch() { # FOLDER PORT [JAVA-OPTION]
  local folder=$1 port=$2 entry scram=() deadline=$((SECONDS + 120))
  shift 2
  write_configuration "$folder" "$port"
  if [[ ! -e $folder/log/meta.properties ]]; then
    for entry in ${KAFKA_USERS:-}; do
      scram+=(--add-scram "SCRAM-SHA-256=[name=${entry%%:*},password=${entry#*:}]")
    done
    (java_run "$folder" kafka.tools.StorageTool format -t "$cluster" -c "$folder/server.properties" "${scram[@]}") \
      > "$folder/format.log" 2>&1 || fail "the storage could not be formatted: $(tail -n 5 "$folder/format.log")"
  fi
  rm -f "$folder/server.log"
  (java_run "$folder" "$@" kafka.Kafka "$folder/server.properties" < /dev/null > "$folder/console.log" 2>&1 &
    echo $! > "$folder/pid")
  until grep -qs 'Kafka Server started' "$folder/server.log"; do
    sleep 0.1
    kill -0 "$(cat "$folder/pid")" 2> /dev/null \
      || fail "the broker on port $port ended: $(tail -qn 15 "$folder/console.log" "$folder/server.log" 2> /dev/null)"
    ((SECONDS < deadline)) && continue
    finish "$folder" KILL
    fail "the broker on port $port does not serve: $(tail -n 15 "$folder/server.log")"
  done
}

finish() { # FOLDER SIGNAL
  local pid tenths=600; pid=$(running "$1")
  [[ -n $pid ]] || return 0
  kill "-$2" "$pid"
  while [[ -n $(running "$1") ]]; do
    ((tenths-- > 0)) || fail "process $pid does not end"
    sleep 0.1
  done
}

verb=${1:-}
if [[ $verb == install ]]; then install; exit; fi
[[ $# -ge 3 && $verb =~ ^(start|stop|kill|status)$ ]] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
mkdir -p "$2"
data=$(cd "$2" && pwd)
case $verb in
  start)
    [[ -z $(running "$data") ]] || exit 0
    install
    launch "$data" "$3"
    ;;
  stop) finish "$data" TERM ;;
  kill) finish "$data" KILL ;;
  status) pid=$(running "$data"); [[ -n $pid ]] && echo "$pid" ;;
esac
