#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Real programs under mmunotify trace: the same output and exit status as without
# it, byte for byte, and at least one event in the recording.
#
#     programs.sh MMUNOTIFY
#
# Each program is run in a directory of its own that looks the same both times.
# shellcheck disable=SC2016,SC2012  # scripts for inner shells; our own file names
set -u
tool=$(realpath "$1")
count=0 failures=0
# Variables set for program and tool alike; options of the trace.
environment=() options=()
work=$(mktemp -d -t mmunotify-programs-XXXXXX)

cleanup() {
	rm -rf "$work"
}
trap cleanup EXIT

result() {	# STATUS NAME [DIRECTIVE]
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2${3:+ # $3}"
	else
		failures=$((failures + 1))
		echo "not ok $count - $2"
	fi
}

diag() {
	head -n 12 | cut -c 1-300 | sed 's/^/# /'
}

# Where a program is, past shims that are shell scripts; empty if nowhere.
find_program() {
	local file
	for file in $(type -aP "$1"); do
		if [ "$(head -c 4 "$file" | tail -c 3)" = ELF ]; then
			echo "$file"
			return
		fi
	done
	type -P "$1"
}

run_in() {	# DIRECTORY COMMAND...
	local directory=$1
	shift
	rm -rf "$work/here"
	mkdir "$work/here"
	(cd "$work/here" && "$@" >"$directory.out" 2>"$directory.err" </dev/null)
	echo $? >"$directory.status"
}

events_in() {	# RECORDING
	"$tool" replay --json -q "$1" | grep -c '"type":"event"'
}

# same NAME PROGRAM COMMAND...: skip without PROGRAM; both ways; compare stdout,
# stderr and exit status.
same() { compare out err "$@"; }
# The same where stderr has times or pids in it.
same_stdout() { compare out out "$@"; }

compare() {	# STREAM STREAM NAME PROGRAM COMMAND...
	local first=$1 second=$2 name=$3 program=$4 events
	shift 4
	if ! type -P "$program" >/dev/null; then
		result 0 "$name" "SKIP $program is not installed"
		return
	fi
	run_in "$work/plain" env "${environment[@]}" "$@"
	run_in "$work/traced" env "${environment[@]}" "$tool" trace "${options[@]}" -o "$work/recording" -- "$@"
	if cmp -s "$work/plain.status" "$work/traced.status" &&
	   cmp -s "$work/plain.$first" "$work/traced.$first" &&
	   cmp -s "$work/plain.$second" "$work/traced.$second"; then
		events=$(events_in "$work/recording")
		if [ "$events" -ge 1 ]; then
			result 0 "$name${options[*]:+ with ${options[*]}}"
			echo "# $events events"
			return
		fi
		echo "no event was recorded" >"$work/why"
	else
		diff "$work/plain.status" "$work/traced.status" >"$work/why"
		diff -a "$work/plain.out" "$work/traced.out" >>"$work/why"
		diff -a "$work/plain.err" "$work/traced.err" >>"$work/why"
	fi
	result 1 "$name${options[*]:+ with ${options[*]}}"
	diag <"$work/why"
}

shells() {
	local script='x=$(seq 1 2000); for i in 1 2 3; do echo $i | tr 1 2; done; (exit 9); echo $?
		ls -d /usr /etc | sort -r; f() { return 3; }; f; exit $?'
	same "sh" sh sh -c "$script"
	same "bash" bash bash --norc -c "$script; a=({1..5000}); echo \${#a[@]}"
	same "dash" dash dash -c "$script"
	same "xargs and env" xargs sh -c 'seq 40 | xargs -P 4 -n 10 env echo | sort'
}

interpreters() {
	local python node java
	python=$(find_program python3)
	same "python3: json and sqlite3" python3 "$python" -c '
import json, sqlite3
db = sqlite3.connect(":memory:")
db.execute("create table t (a integer, b text)")
db.executemany("insert into t values (?, ?)", ((i, "x" * (i % 100)) for i in range(20000)))
print(json.dumps(db.execute("select sum(a), max(length(b)) from t").fetchall()))
data = [list(range(1000)) for _ in range(200)]
print(len(json.loads(json.dumps(data))))'
	same "python3: threads and processes" python3 "$python" -c '
import concurrent.futures as f, multiprocessing as m, subprocess, mmap, sys
def work(n):
    return sum(len(bytearray(1 << 20)) for _ in range(n))
with f.ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(work, range(20))))
with m.Pool(2) as pool:
    print(sum(pool.map(work, range(10))))
print(subprocess.run(["echo", "child"], capture_output=True).stdout)
area = mmap.mmap(-1, 1 << 20); area[:] = b"x" * (1 << 20); area.resize(1 << 21); area.close()
sys.exit(17)'
	same "perl" perl perl -e '
my %h; $h{$_} = "x" x ($_ % 500) for 1..20000; print scalar(keys %h), "\n"; undef %h;
my $pid = fork; if (!$pid) { print "child\n"; exit 4 } waitpid $pid, 0; print $? >> 8, "\n"; exit 5'
	node=$(find_program node)
	same "node" node "$node" -e '
const a = []; for (let i = 0; i < 200; i++) a.push(Buffer.alloc(100000, i));
const {Worker} = require("worker_threads");
const w = new Worker("require(\"worker_threads\").parentPort.postMessage(6 * 7)", {eval: true});
w.on("message", m => { console.log(m, a.length); process.exitCode = 6; });'
	java=$(find_program java)
	mkdir -p "$work/java"
	cat >"$work/java/Hello.java" <<-'JAVA'
		public class Hello {
			public static void main(String[] args) throws Exception {
				long sum = 0;
				for (int i = 0; i < 200; i++)
					sum += new byte[1 << 20].length;
				Thread[] threads = new Thread[4];
				for (int i = 0; i < 4; i++)
					(threads[i] = new Thread(() -> new int[1 << 18].clone())).start();
				for (Thread thread : threads)
					thread.join();
				System.out.println(sum);
				System.exit(7);
			}
		}
	JAVA
	if type -P javac >/dev/null && javac -d "$work/java" "$work/java/Hello.java" 2>/dev/null; then
		same "java" java "$java" -Xmx128m -cp "$work/java" Hello
	else
		same "java" java "$java" -Xmx64m -version
	fi
}

builders() {
	local git=(git -c user.name=t -c user.email=t@t -c init.defaultBranch=main)
	export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
	same "git" git sh -c '
		"$@" init -q . && seq 1 5000 >a && "$@" add a && "$@" commit -qm one &&
		seq 1 5001 >a && "$@" commit -qam two && "$@" log --format="%H %s" -p | tail -n 3 &&
		"$@" gc -q && "$@" fsck && "$@" rev-parse HEAD' sh "${git[@]}"
	cat >"$work/sum.c" <<-'C'
		#include <stdio.h>
		#include <stdlib.h>
		int main(void)
		{
			long sum = 0;
			for (int i = 0; i < 100; i++) {
				char *p = malloc(1 << 20);
				p[i] = i;
				sum += p[i];
				free(p);
			}
			printf("%ld\n", sum);
			return 0;
		}
	C
	same "gcc" gcc sh -c 'gcc -O2 -Wall "$1" -o sum && ./sum && cksum <sum' sh "$work/sum.c"
	same "make -j2" make sh -c '
		for i in 1 2 3 4 5 6; do printf "int f%d(int x) { return x * %d; }\n" $i $i >f$i.c; done
		printf "all: \$(patsubst %%.c,%%.o,\$(wildcard *.c))\n\t@size \$^ | tail -n 1\n" >Makefile
		make -s -j2 CC=gcc && ls *.o'
}

archivers() {
	seq 1 200000 >"$work/numbers"
	same "tar and gzip" gzip sh -c 'tar -C "$1" -cf - numbers | gzip -n9 | tee x.gz | cksum; gzip -t x.gz' \
		sh "$work"
	same "xz" xz sh -c 'xz -T2 -6 -c "$1" >x.xz && xz -dc x.xz | cksum' sh "$work/numbers"
	same "sort with threads" sort sh -c 'sort -R --random-source="$1" -S 8M --parallel=2 "$1" | cksum' \
		sh "$work/numbers"
}

databases() {
	same "sqlite3" sqlite3 sh -c 'sqlite3 x.db "create table t(a,b); with recursive c(x) as
		(select 1 union all select x+1 from c where x<50000) insert into t select x, x*2 from c;
		create index i on t(b); select sum(a) from t where b > 50000; pragma integrity_check;
		pragma mmap_size=10000000; select count(*) from t; vacuum;"'
}

# A server under trace, a client outside of it: the client's answers are compared.
redis_session() {
	local socket=$1
	for _ in $(seq 200); do
		[ "$(redis-cli -s "$socket" ping 2>/dev/null)" = PONG ] && break
		sleep 0.05
	done
	redis-benchmark -s "$socket" -t set,get,lpush,lrange_100 -n 3000 -r 1000 -q >/dev/null || echo failed
	redis-cli -s "$socket" set key value
	redis-cli -s "$socket" --raw eval 'return string.rep("x", 100000)' 0 | cksum
	redis-cli -s "$socket" bgsave
	sleep 0.5
	redis-cli -s "$socket" get key
	redis-cli -s "$socket" flushall
	redis-cli -s "$socket" shutdown nosave
}

redis_run() {	# PREFIX...
	local socket=$PWD/redis.sock
	"$@" redis-server --port 0 --unixsocket "$socket" --save '' --dir "$PWD" >redis.log 2>&1 &
	local server=$!
	redis_session "$socket"
	wait "$server"
	echo "server: $?"
}

redis() {	# NAME
	local name=$1
	if ! type -P redis-server redis-benchmark >/dev/null; then
		result 0 "$name" "SKIP redis-server is not installed"
		return
	fi
	run_in "$work/plain" redis_run env "${environment[@]}"
	run_in "$work/traced" redis_run env "${environment[@]}" "$tool" trace -o "$work/recording" --buffer=16M --
	check_session "$name"
}

check_session() {
	if cmp "$work/plain.out" "$work/traced.out" >"$work/why" 2>&1 &&
	   [ "$(events_in "$work/recording")" -ge 1 ]; then
		result 0 "$1"
		echo "# $(events_in "$work/recording") events"
	else
		result 1 "$1"
		diff "$work/plain.out" "$work/traced.out" | diag
		diag <"$work/traced.err"
	fi
}

postgres_run() {	# DATA PREFIX...
	local data=$1
	shift
	"$@" initdb -D "$data" -A trust -N --no-instructions >"$data.log" 2>&1
	echo "initdb: $?"
	"$@" postgres -D "$data" -k "$data" -c listen_addresses= -c fsync=off >>"$data.log" 2>&1 &
	local server=$!
	for _ in $(seq 200); do
		pg_isready -q -h "$data" && break
		sleep 0.05
	done
	pgbench -i -s 1 -q -h "$data" postgres >/dev/null 2>&1
	echo "pgbench -i: $?"
	pgbench -c 2 -t 100 -n -h "$data" postgres >/dev/null 2>&1
	echo "pgbench: $?"
	psql -h "$data" -At postgres -c 'select count(*), sum(bid) from pgbench_accounts' \
		-c 'set max_parallel_workers_per_gather=2; set parallel_setup_cost=0; set min_parallel_table_scan_size=0; select sum(aid) from pgbench_accounts'
	kill -TERM "$server"
	wait "$server"
	echo "server: $?"
}

postgres() {
	local user directory binaries largest
	binaries=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
	if [ -z "$binaries" ]; then
		result 0 "postgres" "SKIP postgresql is not installed"
		return
	fi
	directory=$(mktemp -d -t mmunotify-pg-XXXXXX)
	user=()
	if [ "$(id -u)" = 0 ]; then
		# Postgres refuses to run as root.
		chown nobody "$directory"
		chmod 755 "$work"
		user=(setpriv --reuid nobody --regid nogroup --clear-groups)
		if ! "${user[@]}" test -x "$tool"; then
			result 0 "postgres" "SKIP the build tree is closed to other users"
			rm -rf "$directory"
			return
		fi
	fi
	export -f postgres_run
	for kind in plain traced; do
		local prefix=
		[ $kind = traced ] && prefix="$tool trace -o $directory/recording-\$RANDOM --buffer=16M --"
		"${user[@]}" env PATH="$binaries:$PATH" LC_ALL=C HOME="$directory" bash -c \
			"cd $directory; postgres_run $directory/$kind $prefix" \
			>"$work/$kind.out" 2>"$work/$kind.err"
	done
	largest=$(ls -S "$directory"/recording-* 2>/dev/null | head -n 1)
	cp "${largest:-/dev/null}" "$work/recording"
	check_session "postgres: initdb, pgbench, parallel query"
	rm -rf "$directory"
}

allocators() {
	local python allocator library
	python=$(find_program python3)
	for allocator in jemalloc tcmalloc_minimal; do
		library=$(ls /usr/lib/*/lib$allocator.so.? 2>/dev/null | head -n 1)
		if [ -z "$library" ]; then
			result 0 "python3 with $allocator" "SKIP lib$allocator is not installed"
			continue
		fi
		environment=(LD_PRELOAD="$library" PYTHONMALLOC=malloc)
		same "python3 with $allocator" python3 "$python" -c '
import threading, os
def work():
    for i in range(200):
        x = [bytearray(1 << (i % 22)) for _ in range(4)]
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
pid = os.fork()
if not pid:
    work(); os._exit(3)
print(os.waitpid(pid, 0)[1])'
		redis "redis-server with $allocator"
		environment=()
	done
}

others() {
	same "vim" vim vim -u NONE -es -c 'put =range(1,2000)' -c '%s/1/one/g' -c 'w! out.txt' \
		-c '%p' -c 'q!'
	same_stdout "openssl" openssl sh -c '
		openssl speed -seconds 1 -bytes 1024 sha256 >/dev/null 2>&1; echo $?
		openssl genrsa 1024 2>/dev/null | wc -l; seq 1000 | openssl dgst -sha512'
	same "curl" curl sh -c 'curl -s "file://$1" | cksum; curl -s file:///no/such; echo $?' \
		sh "$work/numbers"
	same "find and grep" grep sh -c 'find /usr/include -name "*.h" | sort | xargs grep -lw MAP_FIXED'
	same "awk" awk awk 'BEGIN { for (i = 0; i < 100000; i++) a[i] = i; print length(a); exit 8 }'
}

shells
interpreters
builders
archivers
databases
redis "redis-server under redis-benchmark"
postgres
allocators
others
# Unwinding code of every kind: interpreted, compiled just in time, in threads.
options=(-k)
interpreters
echo "1..$count"
[ "$failures" = 0 ]
