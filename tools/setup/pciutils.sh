# shellcheck shell=bash
# pciutils for arm64, the libraries that lspci needs and the list of PCI IDs, under build/payload/pciutils: a guest of
# the system tests shows what it sees of its devices. Sourced.

make_pciutils() {
  local tree deb out=$PAYLOAD/pciutils
  if ! [ -f "$PRIVATE/apt.conf" ] || [ -z "$(kernel_package 6.12)" ]; then update_private_root; fi
  mkdir -p "$PRIVATE/pciutils/partial"
  private_apt apt-get -y --download-only -o Dir::Cache::Archives="$PRIVATE/pciutils" install pciutils:arm64
  tree=$(mktemp -d "$PAYLOAD/tree.XXXXXX")
  mkdir -p "$tree"/usr/{bin,sbin,lib}
  ln -s usr/bin usr/sbin usr/lib "$tree/"
  for deb in "$PRIVATE"/pciutils/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$tree" --no-same-owner --keep-directory-symlink \
      --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./etc' --exclude='./var'
  done
  rm -rf "$out"
  /usr/bin/python3 "$ROOT/tools/setup/closure.py" "$tree" usr/bin/lspci "$out"
  mkdir -p "$out/usr/share/misc"
  cp "$tree/usr/share/misc/pci.ids" "$out/usr/share/misc/"
  rm -rf "$tree" "$PRIVATE/pciutils"
}

setup_pciutils() {
  local inputs
  inputs=$(fingerprint "$ROOT/tools/setup/pciutils.sh" "$ROOT/tools/setup/closure.py" "$ROOT/tools/setup/sources.sh")
  if is_stamped pciutils "$inputs" && [ -x "$PAYLOAD/pciutils/usr/bin/lspci" ]; then return; fi
  need_debian
  step payload-pciutils "payloads: pciutils" make_pciutils
  set_stamp pciutils "$inputs"
}
