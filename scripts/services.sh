#!/usr/bin/env bash
# Start PostgreSQL and Redis for the tests that talk to them, on free ports of 127.0.0.1, with nothing kept.
#
#     eval "$(scripts/services.sh start FOLDER)"     exports CEDE_TEST_POSTGRES and CEDE_TEST_REDIS, two URLs
#     scripts/services.sh stop FOLDER                ends them and removes FOLDER
#
# A service that is not installed is left out, with a line that says so; its tests skip themselves.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[[ $# == 2 && ( $1 == start || $1 == stop ) ]] || die "usage: scripts/services.sh start|stop FOLDER"
action=$1
folder=$2

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Debian keeps PostgreSQL's programs out of PATH; elsewhere a link in PATH leads to the folder that has them all.
postgres_bin() {
    local found
    found=$(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort -V | tail -n 1)
    [[ -x $found ]] || found=$(readlink -f "$(command -v postgres)") || return 1
    echo "${found%/*}"
}

# PostgreSQL refuses to run as root.
as_postgres() {
    if [[ $(id -u) == 0 ]]; then
        runuser -u postgres -- "$@"
    else
        "$@"
    fi
}

start_postgres() {
    local bin port data=$folder/postgres
    bin=$(postgres_bin) || { say "no PostgreSQL here: its tests will skip"; return 0; }
    port=$(free_port)
    mkdir -p "$data"
    [[ $(id -u) != 0 ]] || chown postgres "$data"
    as_postgres "$bin/initdb" -D "$data" -U cede --auth trust --no-sync >"$folder/initdb.log" 2>&1
    as_postgres "$bin/pg_ctl" -D "$data" -w -l "$data/log" \
        -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='$data' -c fsync=off" start >/dev/null
    as_postgres "$bin/createdb" -h 127.0.0.1 -p "$port" -U cede cede
    echo "export CEDE_TEST_POSTGRES=postgresql://cede@127.0.0.1:$port/cede"
}

start_redis() {
    local port
    command -v redis-server >/dev/null || { say "no Redis here: its tests will skip"; return 0; }
    port=$(free_port)
    # Its clients' own tests make it wait, which is DEBUG SLEEP.
    redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --daemonize yes --enable-debug-command yes \
        --dir "$folder" --pidfile "$folder/redis.pid" --logfile "$folder/redis.log" >/dev/null
    echo "export CEDE_TEST_REDIS=redis://127.0.0.1:$port/0"
}

stop_all() {
    local bin
    if [[ -e $folder/postgres/postmaster.pid ]] && bin=$(postgres_bin); then
        as_postgres "$bin/pg_ctl" -D "$folder/postgres" -m immediate stop >/dev/null || true
    fi
    if [[ -e $folder/redis.pid ]]; then
        kill "$(cat "$folder/redis.pid")" 2>/dev/null || true
    fi
    rm -rf "$folder"
}

case $action in
start)
    mkdir -p "$folder"
    chmod 755 "$folder"
    cd "$folder"
    start_postgres
    start_redis
    ;;
stop) stop_all ;;
esac
