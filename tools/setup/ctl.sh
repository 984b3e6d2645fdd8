# shellcheck shell=bash
# What penstockctl is linked with besides libfdt (payload.sh): zlib for arm64, under build/payload/zlib. The other
# libraries are headers of the workstation's own packages. Sourced.

make_zlib() {
  local tree out=$PAYLOAD/zlib
  if [ ! -f "$PRIVATE/apt.conf" ] || ! private_apt apt-cache show zlib1g-dev:arm64 >/dev/null; then
    update_private_root
  fi
  download zlib1g-dev:arm64
  tree=$(mktemp -d "$PAYLOAD/tree.XXXXXX")
  dpkg-deb -x "$(deb_of zlib1g-dev)" "$tree"
  rm -rf "$out"
  mkdir -p "$out/lib" "$out/include"
  cp "$tree/usr/lib/aarch64-linux-gnu/libz.a" "$out/lib/"
  find "$tree/usr/include" -name '*.h' -exec cp {} "$out/include/" ';'
  rm -rf "$tree"
}

setup_ctl() {
  local inputs
  inputs="$(payload_inputs) $(fingerprint "$ROOT/tools/setup/ctl.sh")"
  if is_stamped ctl "$inputs" && [ -f "$PAYLOAD/zlib/lib/libz.a" ]; then return; fi
  need_debian
  step payload-zlib "payloads: zlib for arm64" make_zlib
  set_stamp ctl "$inputs"
}
