# shellcheck shell=bash
# Headers of the 6.12 kernel, merged into one tree under build/payload/headers-6.12, so that the benchmark can build its
# small module for Debian's own kernel. Only ./dev bench wants them. Sourced.
#
#   make -C build/payload/headers-6.12/usr/src/linux-headers-VERSION-arm64 M=FOLDER ARCH=arm64 \
#     CROSS_COMPILE=aarch64-linux-gnu- modules

make_headers() {
  local release version package out=$PAYLOAD/headers-6.12
  [ -f "$PRIVATE/apt.conf" ] && [ -n "$(kernel_package 6.12)" ] || update_private_root
  release=$(cat "$PAYLOAD/kernel-6.12/version")
  version=${release%-arm64}
  rm -rf "$out"
  mkdir -p "$out"
  # An archive keeps only its newest kernels: headers for an older payload are no longer to be had.
  download "linux-headers-$release" "linux-headers-$version-common" "linux-kbuild-$version:$HOST_ARCH" ||
    { say "the archive has moved on from kernel $release: './dev clean --all' and start again" && return 1; }
  for package in "linux-headers-$release" "linux-headers-$version-common" "linux-kbuild-$version"; do
    dpkg-deb -x "$(deb_of "$package")" "$out"
  done
  # The packages name one another by absolute path, as if installed; here they lie in a folder of their own.
  grep -rlI --include=Makefile --include='.kernelvariables' '/usr/src/linux-headers-\|/usr/lib/linux-kbuild-' \
    "$out/usr/src/linux-headers-$release" "$out/usr/src/linux-headers-$version-common/Makefile" |
    while read -r file; do sed -i "s#\([ =]\)/usr/\(src\|lib\)/linux-#\1$out/usr/\2/linux-#g" "$file"; done
  # Type information for modules would want pahole, and the kernel takes modules without it.
  sed -i '/^CONFIG_DEBUG_INFO_BTF/d' "$out/usr/src/linux-headers-$release/include/config/auto.conf"
  # Debian names the compiler that it built with; the cross compiler of this machine is of the same series or newer.
  [ ! -f "$out/usr/src/linux-headers-$release/.kernelvariables" ] ||
    : >"$out/usr/src/linux-headers-$release/.kernelvariables"
}

setup_headers() {
  local inputs
  inputs="$(payload_inputs) $(cat "$PAYLOAD/kernel-6.12/version") $PAYLOAD"
  if is_stamped headers "$inputs" && [ -d "$PAYLOAD/headers-6.12/usr/src" ]; then return; fi
  need_debian
  step payload-headers "payloads: headers of kernel 6.12" make_headers
  set_stamp headers "$inputs"
}
