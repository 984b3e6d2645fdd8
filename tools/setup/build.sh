# shellcheck shell=bash
# Building: one function per CMake preset. Sourced.

# shellcheck source=tools/setup/ctl.sh
. "$ROOT/tools/setup/ctl.sh"

JOBS=$(nproc)
export CCACHE_BASEDIR=$ROOT
PYTHON=/usr/bin/python3 # Debian's own, the one that Debian's pytest belongs to

configure() { # PRESET: CMake's own step, where there is none yet or the presets say something new
  local preset=$1 inputs launcher=()
  inputs=$(fingerprint "$ROOT/CMakePresets.json" "$ROOT/cmake/"*.cmake)
  if is_stamped "configure-$preset" "$inputs" && [ -f "$BUILD/$preset/build.ninja" ]; then return; fi
  if command -v ccache >/dev/null; then
    launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  fi
  cmake --preset "$preset" "${launcher[@]}" -DPENSTOCK_LIBFDT="$PAYLOAD/libfdt" \
    -DPENSTOCK_ZLIB="$PAYLOAD/zlib"
  set_stamp "configure-$preset" "$inputs"
}

compile() { # PRESET [CMAKE ARGUMENTS]
  local preset=$1
  shift
  configure "$preset"
  cmake --build "$BUILD/$preset" -j "$JOBS" "$@"
}

build_host() { step build-host "building the library, the simulator, the tool and the unit tests" compile host; }
build_target() { step build-target "building the hypervisor image" compile target; }
build_ctl() { setup_ctl; step build-ctl "building penstockctl for arm64" compile ctl; }
build_fuzz() { step build-fuzz "building the fuzz targets" compile fuzz --target fuzzers; }
build_bench() { step build-bench "building the benchmarks and the tool, optimised" compile bench; }

run_build() {
  build_host
  build_target
  build_ctl
  say "built: build/target/penstock.bin ($(stat -c %s "$BUILD/target/penstock.bin") bytes), build/host/tools/penstock/penstock, build/ctl/penstockctl"
}
