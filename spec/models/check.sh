#!/usr/bin/env bash
# Checks one claim about one model with spin, exhaustively. README.md says how to read what it prints.
#
#   check.sh [--trail] MODEL.pml holds [-DNAME...]             no assertion fails, nobody is stuck
#   check.sh [--trail] MODEL.pml covers [-DNAME...]            the same, and each statement is reached
#   check.sh [--trail] MODEL.pml always LTL [-DNAME...]        the ltl formula of that name holds, with weak fairness
#   check.sh [--trail] MODEL.pml breaks WHAT [-DNAME...]       WHAT fails: a property, `deadlock`, or `ltl:NAME`
#   check.sh [--trail] MODEL.pml reaches POINT [-DNAME...]     the point is reached
#   check.sh MODEL.pml named WHAT...                           mutations break each property and ltl formula of the
#                                                              model (WHAT); and none states one of its own
#
# --trail prints the steps that lead there. Needs spin and a C compiler (cc) in PATH.
set -euo pipefail

trail=
if [ "${1:-}" = --trail ]; then
  trail=yes
  shift
fi
[ $# -ge 2 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
model=$(basename "$1")
folder=$(cd "$(dirname "$1")" && pwd)
claim=$2
shift 2
case $claim in
  holds | covers | named) what= ;;
  always | breaks | reaches) what=${1:?"$claim what?"}; shift ;;
  *) echo "check.sh: no claim is called $claim" >&2; exit 2 ;;
esac
defines=("$@")

if [ "$claim" = named ]; then
  for stated in $(sed -n 's/^PROPERTY(\([a-z_]*\)).*/\1/p; s/^ltl \([a-z_]*\) .*/ltl:\1/p' "$folder/$model"); do
    [[ " $* " == *" $stated "* ]] || { echo "check.sh: $model: no mutation is said to break $stated" >&2; exit 1; }
  done
  # Such a one would fail by itself, whatever the mutation does.
  own=$(awk '/^#if/ { about[++depth] = /MUTATION_/; mutated[depth] = about[depth] && /^#ifdef/ }
             /^#else/ { mutated[depth] = about[depth] && !mutated[depth] }
             /^#endif/ { depth-- }
             /MUST\(/ { for (i = 1; i <= depth; i++) if (mutated[i]) print "  line " FNR ":" $0 }' "$folder/$model")
  [ -z "$own" ] || { echo "check.sh: a mutation has properties of its own:"$'\n'"$own" >&2; exit 1; }
  exit 0
fi
for tool in spin cc; do
  command -v "$tool" >/dev/null || { echo "check.sh: no $tool in PATH; tools/install brings it (packages spin, gcc)" >&2; exit 1; }
done

work=$(mktemp -d "${TEST_TMPDIR:-${TMPDIR:-/tmp}}/spin.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
ln -s "$folder"/*.pml .

fail() {
  echo "check.sh: $model ${defines[*]}: $*" >&2
  [ ! -f output ] || tail -n 60 output >&2
  exit 1
}

compile=(-O1 -w -DMEMLIM=2000 -DVECTORSZ=4096)
run=(-m400000)
case $claim:$what in
  holds: | covers:) compile+=(-DSAFETY -DNOCLAIM) ;;
  always:* | breaks:ltl:*) run+=(-a -f -N "${what#ltl:}") && compile+=(-DNFAIR=3) ;;
  # Breadth first: the shortest trail.
  *)
    compile+=(-O0 -DSAFETY -DNOCLAIM -DBFS)
    run+=(-w20)
    [ "$claim" != reaches ] || defines+=("-DREACH=$what")
    ;;
esac
spin "${defines[@]}" -a "$model" >output 2>&1 || fail "spin cannot read it"
cc "${compile[@]}" -o pan pan.c >output 2>&1 || fail "pan.c does not compile"
start=$SECONDS
./pan "${run[@]}" >output 2>&1 || true
grep -q '^State-vector' output || fail "the search did not end"
! grep -q -e 'max search depth too small' -e 'out of memory' -e 'memory limit' -e 'MEMLIM bound' -e 'Search not completed.*memory' output || fail "the search was cut short"
states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' output)
echo "$model $claim $what ${defines[*]}: ${states:-?} states, $((SECONDS - start)) s"
error=$(sed -n 's/^pan:[0-9]*: //p' output | head -n 1)

if [ -n "$error" ]; then
  echo "found: $error"
  if [ -n "$trail" ]; then spin "${defines[@]}" -t -p -g "$model" || true; fi
fi
case $claim in
  holds | covers | always)
    if [ -n "$error" ]; then
      [ -n "$trail" ] || echo "its steps: spec/models/check.sh --trail $model $claim $what ${defines[*]}" >&2
      fail "$error"
    fi
    grep -q 'errors: 0' output || fail "no verdict"
    # Lines that say "only" are for other definitions.
    if [ "$claim" = covers ]; then
      dead=
      while read -r line text; do
        sed -n "${line}p" "$model" | grep -q '/\* only ' || dead+="  $model:$line: $text"$'\n'
      done < <(grep -F "$model:" output | sed -n 's/^.*\.pml:\([0-9]*\), state [0-9]*, \(".*"\)$/\1 \2/p' | grep -v '"-end-"')
      [ -z "$dead" ] || fail "statements that are never reached:"$'\n'"$dead"
    fi
    ;;
  reaches) [[ $error =~ \(([0-9]+)!=([0-9]+)\) && ${BASH_REMATCH[1]} = "${BASH_REMATCH[2]}" ]] || fail "$what is not reached" ;;
  breaks)
    case $what in
      deadlock) expected='invalid end state' ;;
      ltl:*) expected='acceptance cycle' ;;
      *) expected="assertion violated .*[^a-z_]$what\)" ;;
    esac
    [[ $error =~ $expected ]] || fail "should break $what, but: ${error:-nothing fails}"
    ;;
esac
