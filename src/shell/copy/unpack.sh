# A program that leaves its input unread is not told to have ended by every node: the rest is taken until it stops.
fail() { echo stop; cat >/dev/null; exit "$1"; }
# Or cd prints, and goes elsewhere.
unset CDPATH
to=$1 name=$2 dir=$3 kind=$5
command -v tar >/dev/null 2>&1 || fail 70
if [ -d "$to" ]; then
    dir=$to to=${to%/}/$name
else
    case $to in */) echo "$to: No such file or directory" >&2; fail 71 ;; esac
fi
if [ "$kind" = file ] && [ -d "$to" ]; then echo "$to" >&2; fail 72; fi
if [ "$kind" = folder ] && [ -e "$to" ] && [ ! -d "$to" ]; then echo "$to" >&2; fail 72; fi
dir=$(cd "$dir" && pwd) || fail 71
staging=$dir/$4
mkdir -m 700 "$staging" || fail 71
trap 'rm -rf "$staging"' 0
trap 'exit 1' 1 2 13 15
tar xf - -C "$staging" || fail 74
if [ ! -f "$staging/sums" ]; then echo "the archive was cut" >&2; exit 75; fi
sums=
if [ -s "$staging/sums" ] && command -v sha256sum >/dev/null 2>&1; then
    said=$(cd "$staging" && sha256sum -c sums 2>&1) || { echo "$said" | grep -v ': OK$' >&2; exit 76; }
    sums=compared
fi
if [ "$kind" = folder ] && [ -d "$to" ]; then
    there=$(cd "$to" && pwd) || exit 77
    cd "$staging/new" || exit 77
    # It is looked at as a whole before anything is moved. Links there are not followed.
    find . ! -type d -exec sh -c 'for at; do
        if [ -d "$0/$at" ] && [ ! -h "$0/$at" ]; then echo "$0/$at" >&2; exit 1; fi
    done' "$there" {} + || exit 72
    find . -type d -exec sh -c 'for at; do
        if [ -h "$0/$at" ] || { [ -e "$0/$at" ] && [ ! -d "$0/$at" ]; }; then echo "$0/$at" >&2; exit 1; fi
    done' "$there" {} + || exit 72
    echo placing
    # A folder that is missing there goes as it is, with its mode.
    find . -type d -exec sh -c '[ ! -e "$0/$1" ] && mv "$1" "$0/$1"' "$there" {} \; -prune
    find . ! -type d -exec sh -c 'for at; do mv -f "$at" "$0/$at" || exit 1; done' "$there" {} + || exit 77
    cd /
else
    mv -f "$staging/new" "$to" || exit 77
fi
echo "$sums"
