#!/usr/bin/env bash
# Real services on loopback, without containers: Apache Kafka from its published
# jars, Redis and PostgreSQL.
#
#   services.sh up                    starts what does not run and waits until it answers
#   services.sh env                   prints the environment that the tests read
#   services.sh restart kafka|redis|postgres   kills one as a crash would, and starts it again
#   services.sh down                  ends all by process id and removes their data
#
#   tests/services/services.sh up && eval "$(tests/services/services.sh env)" && go test ./tests/...
#
# What is missing is installed with apt-get, as root. Data, logs and process ids
# live in a temporary folder, to which state/services of this repository points.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
link=$(cd "$here/../.." && pwd)/state/services
services=(kafka redis postgres)
dir= # where the link points, once there is one

say() { echo "services: $*" >&2; }
die() { say "$*"; exit 1; }

# apt_install PACKAGE...: the package lists are fetched only when the old ones do not do.
apt_install() {
	[ "$(id -u)" = 0 ] || die "missing here: $*. Install it, or run this as root"
	command -v apt-get >/dev/null || die "missing here: $*. Install it: there is no apt-get"
	say "installing $*"
	export DEBIAN_FRONTEND=noninteractive
	# The packages' own servers are not wanted: they would take the usual ports.
	local deny=
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d && deny=1
	fi
	local status=0
	apt-get install -qq -y --no-install-recommends "$@" >/dev/null 2>&1 ||
		{ apt-get update -qq >&2 && apt-get install -qq -y --no-install-recommends "$@" >/dev/null; } || status=$?
	[ -z "$deny" ] || rm -f /usr/sbin/policy-rc.d
	[ "$status" = 0 ] || die "apt-get could not install $*"
}

# pg_bin PROGRAM: Debian keeps PostgreSQL's server programs off the PATH.
pg_bin() {
	local candidate
	for candidate in /usr/lib/postgresql/*/bin/"$1" "$(command -v "$1" || true)"; do
		[ -x "$candidate" ] && { echo "$candidate"; return; }
	done
	return 1
}

java_major() { java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p;q'; }

install_missing() {
	local major
	major=$(command -v java >/dev/null && java_major || true)
	if [ "${major:-0}" -lt 17 ]; then
		apt_install openjdk-17-jre-headless || true
		major=$(java_major)
		[ "${major:-0}" -ge 17 ] || die "Kafka needs Java 17 or newer; the java on the PATH is ${major:-none}"
	fi
	command -v mvn >/dev/null || apt_install maven
	command -v redis-server >/dev/null || apt_install redis-server
	pg_bin postgres >/dev/null || apt_install postgresql
}

# free_port: below the range from which outgoing connections take theirs, so that
# a port stays free while its service restarts.
free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 10000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
	done
}

port_of() { cat "$dir/$1.port"; }

# pid_of SERVICE: its process id while it runs. The arguments are looked at too,
# since the system gives an old id to somebody else.
pid_of() {
	local pid mark
	pid=$(cat "$dir/$1.pid" 2>/dev/null) || return 1
	case $1 in redis) mark=$(port_of redis) ;; *) mark=$dir ;; esac # Redis renames itself once it serves
	case $(ps -ww -o args= -p "$pid" 2>/dev/null) in *"$mark"*) echo "$pid" ;; *) return 1 ;; esac
}

# as_postgres COMMAND...: PostgreSQL refuses to run as root.
as_postgres() {
	if [ "$(id -u)" != 0 ]; then
		"$@"
		return
	fi
	id postgres >/dev/null 2>&1 || useradd --system --no-create-home postgres
	(cd / && runuser -u postgres -- "$@")
}

prepare_kafka() {
	if [ ! -d "$dir/kafka-jars" ]; then
		say "fetching Kafka's jars"
		mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
			-DoutputDirectory="$dir/kafka-jars.part" >"$dir/maven.log" 2>&1 || { cat "$dir/maven.log" >&2; die "Maven could not fetch Kafka's jars"; }
		mv "$dir/kafka-jars.part" "$dir/kafka-jars"
	fi
	[ ! -e "$dir/kafka.properties" ] || return 0
	local controller
	controller=$(free_port)
	cat >"$dir/kafka.properties" <<-END
		node.id=1
		process.roles=broker,controller
		controller.quorum.voters=1@127.0.0.1:$controller
		controller.listener.names=CONTROLLER
		listeners=PLAINTEXT://127.0.0.1:$(port_of kafka),CONTROLLER://127.0.0.1:$controller
		listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
		log.dirs=$dir/kafka-data
		offsets.topic.replication.factor=1
		offsets.topic.num.partitions=4
		transaction.state.log.replication.factor=1
		transaction.state.log.min.isr=1
		share.coordinator.state.topic.replication.factor=1
		share.coordinator.state.topic.min.isr=1
		group.initial.rebalance.delay.ms=0
		group.min.session.timeout.ms=1000
		broker.heartbeat.interval.ms=500
		num.recovery.threads.per.data.dir=4
		broker.session.timeout.ms=3000
		log.segment.delete.delay.ms=1000
	END
	java -cp "$dir/kafka-jars/*" kafka.tools.StorageTool format -t services-of-the-tests0 -c "$dir/kafka.properties" >"$dir/kafka.log" 2>&1 ||
		{ cat "$dir/kafka.log" >&2; rm -f "$dir/kafka.properties"; die "Kafka's storage could not be prepared"; }
}

start_kafka() {
	prepare_kafka
	nohup java -Xms256m -Xmx512m -cp "$dir/kafka-jars/*" kafka.Kafka "$dir/kafka.properties" >>"$dir/kafka.log" 2>&1 </dev/null &
	echo $! >"$dir/kafka.pid"
}

# A port that takes connections is not yet a broker that answers: this asks for
# its API versions, in the protocol's own bytes.
kafka_answers() {
	timeout 5 bash -c '
		exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
		printf "\0\0\0\12\0\22\0\0\0\0\0\1\377\377" >&3
		[ "$(head -c 8 <&3 | od -An -tx1 | tr -d " \n" | cut -c9-16)" = 00000001 ]
	' _ "$(port_of kafka)" 2>/dev/null
}

start_redis() {
	mkdir -p "$dir/redis-data"
	redis-server --bind 127.0.0.1 --port "$(port_of redis)" --dir "$dir/redis-data" --daemonize no \
		--appendonly yes --appendfsync always --save "" >>"$dir/redis.log" 2>&1 </dev/null &
	echo $! >"$dir/redis.pid"
}

redis_answers() { [ "$(redis-cli -h 127.0.0.1 -p "$(port_of redis)" ping 2>/dev/null)" = PONG ]; }

start_postgres() {
	local data=$dir/postgres/data
	if [ ! -e "$data/PG_VERSION" ]; then
		mkdir -p "$dir/postgres"
		[ "$(id -u)" != 0 ] || chown "$(as_postgres id -u)" "$dir/postgres"
		as_postgres "$(pg_bin initdb)" -D "$data" -U test --auth=trust -E UTF8 >"$dir/postgres.log" 2>&1
	fi
	as_postgres "$(pg_bin postgres)" -D "$data" -p "$(port_of postgres)" -k "$dir/postgres" \
		-c listen_addresses=127.0.0.1 >>"$dir/postgres.log" 2>&1 </dev/null &
	for _ in {1..100}; do # runuser stands between us and the server, whose id is in its file
		head -n 1 "$data/postmaster.pid" >"$dir/postgres.pid" 2>/dev/null && pid_of postgres >/dev/null && return
		sleep 0.1
	done
}

postgres_answers() {
	as_postgres "$(pg_bin psql)" -h 127.0.0.1 -p "$(port_of postgres)" -U test -d postgres -Atqc 'SELECT 1' >/dev/null 2>&1 || return 1
	as_postgres "$(pg_bin psql)" -h 127.0.0.1 -p "$(port_of postgres)" -U test -d postgres -Atqc 'CREATE DATABASE test' >/dev/null 2>&1 || true
	as_postgres "$(pg_bin psql)" -h 127.0.0.1 -p "$(port_of postgres)" -U test -d test -Atqc 'SELECT 1' >/dev/null 2>&1
}

await() {
	local deadline=$((SECONDS + 180))
	until "$1_answers"; do
		pid_of "$1" >/dev/null || { tail -n 20 "$dir/$1.log" >&2; die "$1 ended instead of starting"; }
		[ $SECONDS -lt $deadline ] || { tail -n 20 "$dir/$1.log" >&2; die "$1 does not answer after three minutes"; }
		sleep 0.2
	done
	say "$1 answers at 127.0.0.1:$(port_of "$1"), process $(pid_of "$1")"
}

# stop SERVICE SIGNAL: ends one, by force when it does not listen.
stop() {
	local pid deadline=$((SECONDS + 20))
	pid=$(pid_of "$1") || { rm -f "$dir/$1.pid"; return 0; }
	kill "-$2" "$pid"
	while pid_of "$1" >/dev/null; do
		[ $SECONDS -lt $deadline ] || kill -KILL "$pid" 2>/dev/null || true
		sleep 0.1
	done
	rm -f "$dir/$1.pid"
	say "$1 ended"
}

# stop_signal: PostgreSQL's TERM waits for its clients to leave.
stop_signal() { case $1 in postgres) echo INT ;; *) echo TERM ;; esac; }

# crash_signal: killing PostgreSQL's first process would leave the others behind.
crash_signal() { case $1 in postgres) echo QUIT ;; *) echo KILL ;; esac; }

opened() { dir=$(readlink -f "$link" 2>/dev/null) && [ -d "$dir" ]; }

up() {
	install_missing
	if ! opened; then
		rm -f "$link"
		mkdir -p "$(dirname "$link")"
		dir=$(mktemp -d "${TMPDIR:-/tmp}/services-XXXXXX")
		chmod 711 "$dir" # the user postgres passes through
		ln -s "$dir" "$link"
	fi
	trap 'status=$?; [ $status = 0 ] || { say "failed; taking all down again"; down; }; exit $status' EXIT
	local s
	for s in "${services[@]}"; do
		[ -e "$dir/$s.port" ] || free_port >"$dir/$s.port"
		pid_of "$s" >/dev/null || "start_$s"
	done
	for s in "${services[@]}"; do await "$s"; done
	cat >"$dir/env" <<-END
		export TEST_KAFKA_BROKERS='127.0.0.1:$(port_of kafka)'
		export TEST_KAFKA_RESTART='$here/services.sh restart kafka'
		export TEST_REDIS_URL='redis://127.0.0.1:$(port_of redis)'
		export TEST_REDIS_RESTART='$here/services.sh restart redis'
		export TEST_POSTGRES_DSN='postgres://test@127.0.0.1:$(port_of postgres)/test?sslmode=disable'
		export TEST_POSTGRES_RESTART='$here/services.sh restart postgres'
	END
	say "up; the tests' environment: eval \"\$($0 env)\""
}

down() {
	trap - EXIT
	opened || { rm -f "$link"; say "nothing runs"; return; }
	local s
	for s in "${services[@]}"; do stop "$s" "$(stop_signal "$s")"; done
	rm -rf "$dir"
	rm -f "$link"
	say "down"
}

restart() {
	case " ${services[*]} " in *" ${1:-none} "*) ;; *) die "restart which of ${services[*]}?" ;; esac
	opened && pid_of "$1" >/dev/null || die "$1 does not run; start it with: $0 up"
	stop "$1" "$(crash_signal "$1")"
	"start_$1"
	await "$1"
}

main() {
	case "${1:-}" in
	up) up ;;
	down) down ;;
	restart) restart "${2:-}" ;;
	env) opened && [ -e "$dir/env" ] || die "nothing runs; start it with: $0 up"; cat "$dir/env" ;;
	*) die "usage: $0 up|down|restart SERVICE|env" ;;
	esac
}

# On one line, so that nothing is read of a file that may be changing meanwhile.
main "$@"; exit
