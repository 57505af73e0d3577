#!/bin/bash
# Stands in for the entrypoint of the image `mysql` where no registry is reached: the same
# variables, the same two starts of a new volume (the first one without TCP), as user mysql.
set -euo pipefail

data=/var/lib/mysql
[ "${1:-}" = mysqld ] || [ "${1#-}" = "${1:-}" ] || set -- mysqld "$@"
common=(--no-defaults --user=mysql --datadir="$data" --socket=/var/run/mysqld/mysqld.sock
    --secure-file-priv=NULL --mysqlx=OFF)
chown mysql:mysql "$data"

sql() {
    mysql --no-defaults --socket=/var/run/mysqld/mysqld.sock --user=root "$@"
}

if [ ! -d "$data/mysql" ]; then
    echo "[Entrypoint]: initializing"
    mysqld "${common[@]}" --initialize-insecure
    mysqld "${common[@]}" --skip-networking &
    for _ in $(seq 300); do
        sql --execute='SELECT 1' >/dev/null 2>&1 && break
        sleep 0.2
    done
    root=${MYSQL_ROOT_PASSWORD:-}
    if [ -n "${MYSQL_RANDOM_ROOT_PASSWORD:-}" ]; then
        root=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
        echo "[Entrypoint]: GENERATED ROOT PASSWORD: $root"
    fi
    [ -n "$root" ] || { echo "[Entrypoint]: no root password" >&2 && exit 1; }
    {
        echo "ALTER USER 'root'@'localhost' IDENTIFIED BY '$root';"
        [ "${MYSQL_ROOT_HOST:-%}" = localhost ] ||
            echo "CREATE USER 'root'@'${MYSQL_ROOT_HOST:-%}' IDENTIFIED BY '$root';
                GRANT ALL ON *.* TO 'root'@'${MYSQL_ROOT_HOST:-%}' WITH GRANT OPTION;"
        [ -z "${MYSQL_DATABASE:-}" ] || echo "CREATE DATABASE \`$MYSQL_DATABASE\`;"
        [ -z "${MYSQL_USER:-}" ] || echo "CREATE USER '$MYSQL_USER'@'%' IDENTIFIED BY '$MYSQL_PASSWORD';
            GRANT ALL ON \`$MYSQL_DATABASE\`.* TO '$MYSQL_USER'@'%';"
    } | sql
    mysqladmin --no-defaults --socket=/var/run/mysqld/mysqld.sock --user=root --password="$root" shutdown
    wait
    echo "[Entrypoint]: ready for the start"
fi
shift
exec mysqld "${common[@]}" "$@"
