#!/usr/bin/env bash
# Asks spin whether a model has the runs that were recorded (README.md, "Traces").
#
#   trace.sh MODEL.pml [-DNAME...] -- TRACE...
#
# Prints a line for each trace, and exits 0 if spin has looked at all of them:
#
#   taken                                  some run of the model takes all of its steps
#   refused, row N: STEP                   no run takes that step; the rows before it were taken
#   breaks PROPERTY, row N: STEP           a run with that step, or up to it, breaks a property of the model
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
model=$(basename "$1")
folder=$(cd "$(dirname "$1")" && pwd)
shift
defines=(-DTRACE)
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  defines+=("$1")
  shift
done
[ $# -ge 2 ] || { echo "trace.sh: no trace is named" >&2; exit 2; }
shift
traces=()
for trace in "$@"; do traces+=("$(realpath "$trace")"); done
for tool in spin cc; do
  command -v "$tool" >/dev/null || { echo "trace.sh: no $tool in PATH; tools/install brings it (packages spin, gcc)" >&2; exit 1; }
done

work=$(mktemp -d "${TEST_TMPDIR:-${TMPDIR:-/tmp}}/trace.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
ln -s "$folder"/*.pml "$folder"/trace.inc .

fail() {
  echo "trace.sh: $model ${defines[*]}: $*" >&2
  tail -n 40 output >&2
  exit 1
}

spin "${defines[@]}" -a "$model" >output 2>&1 || fail "spin cannot read it"
# What the rows say by name.
sed -n 's/^.*printf("\tmtype  \([a-z_]*\):\t\([0-9]*\)\\n");$/{"\1", \2},/p' pan.c >names.h
[ -s names.h ] || fail "no names in pan.c"
cc -O0 -w -DSAFETY -DNOCLAIM -DMEMLIM=2000 -DVECTORSZ=8192 -I. -o pan pan.c >output 2>&1 || fail "pan.c does not compile"

for trace in "${traces[@]}"; do
  said=$(TRACE=$trace ./pan -E -n -m100000 -w16 2>&1) || true
  echo "$said" >output
  [[ $said == *State-vector* && $said =~ furthest:\ ([^$'\n']*) ]] || fail "$trace: the search did not end"
  row=${BASH_REMATCH[1]}
  case $said in
    *'max search depth too small'* | *'out of memory'* | *'memory limit'* | *'MEMLIM bound'*) fail "$trace: the search was cut short" ;;
    *'||whole_trace)'*) echo taken ;;
    *'assertion violated'*)
      [[ $said =~ \|\|([a-z_]+)\) ]] || fail "$trace: an assertion without a name"
      echo "breaks ${BASH_REMATCH[1]}, $row"
      ;;
    *'errors: 0'*) echo "refused, $row" ;;
    *) fail "$trace: no verdict" ;;
  esac
done
