#!/bin/sh
# Every control file is in gondolin-files(5) with its mode and an example, and every file documented there exists.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
page=$GONDOLIN_SOURCE/docs/gondolin-files.5

# "NAME MODE" of every subsection that has a mode.
awk '/^\.S[sh] / { name = $2 } /^mode [0-7]*\.$/ { sub(/\./, "", $2); print name, $2 }' "$page" | sort >"$scratch/documented"

sandbox sb --bind "$scratch:/NAME"
mkdir "$sb/jobs/NAME" "$sb/checkpoints/NAME"
echo 'echo hello' >"$sb/run"
for path in "$sb"/* "$sb"/bin/true "$sb"/jobs/clone "$sb"/jobs/NAME/* "$sb"/mounts/NAME/* \
    "$sb"/checkpoints/NAME/*; do
    [ "$path" = "$sb/root" ] || [ -L "$path" ] || echo "${path#"$sb/"} $(stat -c 0%a "$path")"
done | sed "s|^bin/true |bin/NAME |" | sort >"$scratch/there"
diff "$scratch/documented" "$scratch/there" >"$scratch/diff" ||
    fail "documented (<) and there (>): $(cat "$scratch/diff")"
for name in root last; do
    grep -q "^\.Ss $name\$" "$page" || fail "$name is not documented"
done
awk '/^\.S[sh] / { if (wanted) print name; name = $2; wanted = 0 } /^mode [0-7]*\.$/ { wanted = 1 } /^\.Bd/ { wanted = 0 }
    END { if (wanted) print name }' "$page" >"$scratch/bare"
[ ! -s "$scratch/bare" ] || fail "no example: $(cat "$scratch/bare")"

# The commands of the ctl files are those documented, and each key of the status files is.
commands() {
    sed -n 's/^\([a-z]*\) .*/\1/p; s/^\([a-z]*\)$/\1/p' "$1"
}
for command in $(commands "$sb/ctl") $(commands "$sb/jobs/NAME/ctl"); do
    grep -Eq "^\.It Cm $command( |\$)" "$page" || fail "the command $command is not documented"
done
awk '/^\.Ss ctl$/ { in_ctl = 1 } /^\.Ss error$/ { in_ctl = 0 } in_ctl && /^\.It Cm/ { print $3 }' "$page" |
    while read -r command; do
        commands "$sb/ctl" | grep -qx -e "$command" || fail "the documented command $command is not there"
    done
for key in $(cut -d' ' -f1 "$sb/status" | sed 's/^boot_.*_us$/boot_*_us/') $(cut -d' ' -f1 "$sb/last/status") \
    $(cut -d' ' -f1 "$sb/checkpoints/NAME/status"); do
    grep -E '^\.It Va ' "$page" | tr -d , | tr ' ' '\n' | grep -qxF "$key" || fail "the status key $key is not documented"
done

# The examples of the jobs' files work as they stand.
mkdir "$sb/jobs/web" "$sb/jobs/p" "$sb/jobs/count"
awk '/^\.Bd/ { inside = 1; next } /^\.Ed/ { inside = 0 } inside && /^\$ echo .*> sb\/jobs\/(web|p|count)\/(cwd|env|user|timeout_ms|argv|cmd)$/ {
    sub(/^\$ /, ""); gsub(/\\e/, "\\"); print }' "$page" >"$scratch/examples"
[ "$(wc -l <"$scratch/examples")" -ge 7 ] || fail 'the examples were not found'
(cd "$scratch" && sh -e ./examples) || fail 'an example does not work'
echo start >"$sb/jobs/p/ctl"
[ "$(cat "$sb/jobs/p/stdout")" = 'two words' ] || fail 'the example of argv'
