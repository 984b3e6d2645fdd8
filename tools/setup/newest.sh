# shellcheck shell=bash
# The newest kernel that Debian backports to its stable release, whichever that is today, for the system tests:
# build/payload/kernel-newest/{Image,modules/,version}. In the flavour for clouds, which has the drivers of virtual
# boards and a third of the size. From an apt root of its own, with that suite alone. Sourced.

NEWEST_SUITE=stable-backports

# The packages with what a kernel package is made of: itself, or, from 7.x on, those that it depends on.
kernel_parts() { # PACKAGE
  local release=${1#linux-image-} needs
  needs=$(private_apt apt-cache show --no-all-versions "$1" | sed -n 's/^Depends: //p')
  if [[ $needs == *"linux-binary-$release "* ]]; then
    printf '%s\n' "linux-base-$release" "linux-binary-$release" "linux-modules-$release"
  else
    printf '%s\n' "$1"
  fi
}

make_newest() {
  # shellcheck disable=SC2034 # SUITE is for make_private_root
  local PRIVATE=$PAYLOAD/apt-newest SUITE=$NEWEST_SUITE
  local package release tree part parts modules image out=$PAYLOAD/kernel-newest
  make_private_root
  deb822 "$DEBIAN_URI" "$DEBIAN_KEYRING" "$NEWEST_SUITE" >"$PRIVATE/sources.d/debian.sources"
  private_apt apt-get update
  package=$(private_apt apt-cache show --no-all-versions linux-image-cloud-arm64 |
    sed -n 's/^Depends:.*\(linux-image-[0-9][^ ,]*\).*/\1/p')
  [ -n "$package" ] || { say "$NEWEST_SUITE has no kernel for arm64" && return 1; }
  release=${package#linux-image-}
  mapfile -t parts < <(kernel_parts "$package")
  download "${parts[@]}"
  tree=$(mktemp -d "$PAYLOAD/tree.XXXXXX")
  for part in "${parts[@]}"; do dpkg-deb -x "$(deb_of "$part")" "$tree"; done
  modules=$tree/usr/lib/modules/$release
  [ -d "$modules" ] || modules=$tree/lib/modules/$release
  image=$modules/vmlinuz
  [ -f "$image" ] || image=$tree/boot/vmlinuz-$release
  rm -rf "$out"
  mkdir -p "$out/modules/lib/modules"
  plain_image "$image" "$out/Image"
  rm -rf "$modules/vmlinuz" "$modules/dtb"
  mv "$modules" "$out/modules/lib/modules/"
  /sbin/depmod -b "$out/modules" "$release"
  printf '%s\n' "$release" >"$out/version"
  rm -rf "$tree" "$PRIVATE"
}

setup_newest() {
  local inputs
  inputs=$(fingerprint "$ROOT/tools/setup/newest.sh" "$ROOT/tools/setup/sources.sh")
  if is_stamped newest "$inputs" && [ -f "$PAYLOAD/kernel-newest/version" ]; then return; fi
  need_debian
  step payload-newest "payloads: Debian's newest kernel (30 MB)" make_newest
  set_stamp newest "$inputs"
}
