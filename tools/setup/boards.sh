# shellcheck shell=bash
# The device trees of the boards that the guests' kernels know, under build/payload/kernel-*/dtbs: a test asks of each of
# them what would run there. They are in the kernels' packages. Sourced.

make_boards() {
  local line release tree
  if ! [ -f "$PRIVATE/apt.conf" ] || [ -z "$(kernel_package 6.12)" ]; then update_private_root; fi
  for line in 6.1 6.12; do
    release=$(cat "$PAYLOAD/kernel-$line/version")
    download "linux-image-$release"
    tree=$(mktemp -d "$PAYLOAD/tree.XXXXXX")
    dpkg-deb --fsys-tarfile "$(deb_of "linux-image-$release")" | tar -x -C "$tree" --no-same-owner ./usr/lib
    rm -rf "$PAYLOAD/kernel-$line/dtbs"
    mv "$tree/usr/lib/linux-image-$release" "$PAYLOAD/kernel-$line/dtbs"
    rm -rf "$tree"
  done
  rm -rf "$PRIVATE/debs"
}

setup_boards() {
  if [ -d "$PAYLOAD/kernel-6.1/dtbs" ] && [ -d "$PAYLOAD/kernel-6.12/dtbs" ]; then return; fi
  need_debian
  step payload-boards "payloads: the device trees of the kernels' boards" make_boards
}
