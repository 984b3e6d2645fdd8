# shellcheck shell=bash
# The commands of ./dev that run something after the build. Sourced.

RESULTS=$BUILD/results

run_demo() {
  build_host
  build_target
  build_ctl
  "$PYTHON" tests/target/demo.py "$@" 9>&-
}

run_bench() {
  build_host
  build_target
  build_ctl
  build_bench
  setup_headers
  "$PYTHON" tests/bench/bench.py "$@" 9>&-
}

# attempt NAME TEXT COMMAND...: like step, but a failure is reported and remembered instead of ending everything.
FAILED=()
attempt() {
  local name=$1 text=$2 status
  set +e
  (step "$@")
  status=$?
  set -e
  [ "$status" = 0 ] || FAILED+=("$text")
}

unit_tests() {
  rm -rf "$RESULTS/gtest"
  mkdir -p "$RESULTS/gtest"
  GTEST_OUTPUT="json:$RESULTS/gtest/" ctest --test-dir "$BUILD/host" -j "$JOBS" --output-on-failure --no-tests=error \
    --output-junit "$RESULTS/ctest.xml"
}

# One fuzz target from its seeds. What it finds new stays in build/fuzz/corpus; the seeds are never written.
fuzz_one() { # STEM RUNS SECONDS
  local stem=$1 corpus=$BUILD/fuzz/corpus/$1 seeds=$ROOT/tests/fuzz/seeds/$1 folders limits=()
  mkdir -p "$corpus" "$BUILD/fuzz/artifacts"
  folders=("$corpus")
  [ ! -d "$seeds" ] || folders+=("$seeds")
  # Real boards are in the kernels' packages.
  [ "$stem" != board_fuzz ] || folders+=("$PAYLOAD/kernel-6.12/dtbs/arm" "$PAYLOAD/kernel-6.12/dtbs/hisilicon")
  [ "$2" = 0 ] || limits+=("-runs=$2")
  [ "$3" = 0 ] || limits+=("-max_total_time=$3")
  "$BUILD/fuzz/fuzzers/$stem" "${limits[@]}" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 -seed=1 \
    -artifact_prefix="$BUILD/fuzz/artifacts/$stem-" "${folders[@]}"
}

fuzz_stems() {
  local file
  for file in "$BUILD"/fuzz/fuzzers/*; do
    [ -x "$file" ] && [ -f "$file" ] && basename "$file"
  done
  return 0
}

fuzz_statistic() { sed -n "s/^stat::$2: *//p" "$LOG/fuzz-$1.log" | tail -n 1; }

# Runs the targets named (or all); writes one line each into build/results/fuzz.tsv: name, verdict, executions.
fuzz_each() { # RUNS SECONDS [STEM...]
  local runs=$1 seconds=$2 stem before verdict stems
  shift 2
  stems=("$@")
  [ "${#stems[@]}" -gt 0 ] || mapfile -t stems < <(fuzz_stems)
  mkdir -p "$RESULTS"
  : >"$RESULTS/fuzz.tsv"
  for stem in "${stems[@]}"; do
    [ -x "$BUILD/fuzz/fuzzers/$stem" ] || die "there is no fuzz target '$stem'; there are: $(fuzz_stems | tr '\n' ' ')"
    before=${#FAILED[@]}
    attempt "fuzz-$stem" "fuzzing $stem" fuzz_one "$stem" "$runs" "$seconds"
    verdict=passed
    [ "${#FAILED[@]}" = "$before" ] || verdict=failed
    printf '%s\t%s\t%s\n' "$stem" "$verdict" "$(fuzz_statistic "$stem" number_of_executed_units)" >>"$RESULTS/fuzz.tsv"
  done
}

run_fuzz() {
  local runs=20000 seconds=30 stem verdict executed
  case ${1:-} in
    *[!0-9s]* | '') ;;
    *s) runs=0 seconds=${1%s}; shift ;;
    *) runs=$1 seconds=0; shift ;;
  esac
  build_fuzz
  setup_boards
  fuzz_each "$runs" "$seconds" "$@"
  printf '\n  %-32s %-8s %12s\n' target verdict inputs
  while IFS=$'\t' read -r stem verdict executed; do
    printf '  %-32s %-8s %12s\n' "$stem" "$verdict" "${executed:--}"
  done <"$RESULTS/fuzz.tsv"
  [ -s "$RESULTS/fuzz.tsv" ] || die "there are no fuzz targets"
  [ "${#FAILED[@]}" = 0 ] || die "a fuzz target failed; the input that did it is in build/fuzz/artifacts/"
}

run_tests() {
  rm -rf "$RESULTS"
  mkdir -p "$RESULTS"
  build_host
  build_target
  build_ctl
  build_fuzz
  setup_boards
  attempt unit "unit tests" unit_tests
  fuzz_each 2000 60
  say "  whole systems in QEMU (logs of each in build/runs/)"
  set +e
  "$PYTHON" -m pytest -q -p no:cacheprovider --durations=5 --junitxml="$RESULTS/pytest.xml" tests/target "$@" 9>&-
  printf '%s\n' $? >"$RESULTS/pytest.status"
  set -e
  "$PYTHON" tools/check/counts.py "$RESULTS"
}

run_soak() {
  build_host
  build_target
  build_ctl
  ROUNDS=${ROUNDS:-5000} "$PYTHON" -m pytest -q -s -p no:cacheprovider tests/target/test_soak.py "$@" 9>&-
}

run_check() {
  local fix=${1:-}
  case $fix in '' | --fix) ;; *) die "./dev check knows only --fix, not '$fix'" ;; esac
  step configure "configuring" configure_all
  if [ -n "$fix" ]; then
    step fix-format "reformatting" "$PYTHON" tools/check/format.py --fix
    step fix-requirements "writing docs/requirements.md" "$PYTHON" tools/check/requirements.py --write
  fi
  # The image is looked at too, so that it has to be there.
  build_target
  build_ctl
  attempt format "formatting (clang-format)" "$PYTHON" tools/check/format.py
  attempt dependencies "dependency directions and headers" "$PYTHON" tools/check/dependencies.py
  attempt requirements "requirement rows and hazards against tests" "$PYTHON" tools/check/requirements.py
  attempt words "words and paths that do not belong here" "$PYTHON" tools/check/words.py
  attempt names "files and functions that comments and documents name" "$PYTHON" tools/check/names.py
  attempt symbols "undefined symbols of the image" "$PYTHON" tools/check/symbols.py "$BUILD/target"
  attempt shell "shell scripts (shellcheck)" shellcheck -x dev .ci/run
  attempt tidy "static analysis (clang-tidy)" "$PYTHON" tools/check/tidy.py "$BUILD/host" "$BUILD/target"
  if [ "${#FAILED[@]}" -gt 0 ]; then
    printf '\nnot clean: %s\n' "$(IFS=';'; printf '%s' "${FAILED[*]}")" >&2
    exit 1
  fi
  say "clean"
}

configure_all() {
  configure host
  configure target
}

run_clean() {
  case ${1:-} in
    --all) rm -rf "$BUILD" ;;
    '') find "$BUILD" -mindepth 1 -maxdepth 1 ! -name payload ! -name stamp -exec rm -rf {} + ;;
    *) die "./dev clean knows only --all, not '$1'" ;;
  esac
}
