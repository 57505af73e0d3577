# shellcheck shell=bash
# Sourced: how `make prod` reads a file like .env. No shell looks at a value, so that & ; # $ and
# the like arrive; what docker compose reads in single quotes or in none is the same here, but
# for an unquoted $, which compose takes for a variable.

# Exports what the file has; fails with the line that is none.
read_env() {
    local file=$1 line name value number=0
    local space='[[:space:]]' comment='[[:space:]]*(#.*)?$'
    while IFS= read -r line || [ -n "$line" ]; do
        number=$((number + 1))
        line=${line%$'\r'}
        [[ $line =~ ^$comment ]] && continue
        [[ $line =~ ^$space*(export$space+)?([A-Za-z_][A-Za-z0-9_]*)$space*=$space*(.*)$ ]] || {
            echo "$file: line $number is not NAME=value" >&2
            return 1
        }
        name=${BASH_REMATCH[2]} value=${BASH_REMATCH[3]}
        if [[ $value =~ ^\'([^\']*)\'$comment ]]; then
            value=${BASH_REMATCH[1]}
        elif [[ $value =~ ^\"([^\"\\$]*)\"$comment ]]; then
            value=${BASH_REMATCH[1]}
        elif [[ $value =~ ^[\'\"] ]]; then
            echo "$file: line $number: the value of $name must be between two single quotes," \
                "or between double ones without a \\ and a \$ in it" >&2
            return 1
        else
            value=${value%%[[:space:]]#*}
            value=${value%"${value##*[![:space:]]}"}
        fi
        export "$name=$value"
    done <"$file"
}
