# shellcheck shell=bash
# kexec-tools for arm64 and the libraries that it needs, under build/payload/kexec: a guest of the system tests starts
# its next kernel itself. Sourced.

make_kexec() {
  local tree deb out=$PAYLOAD/kexec
  [ -f "$PRIVATE/apt.conf" ] && [ -n "$(kernel_package 6.12)" ] || update_private_root
  mkdir -p "$PRIVATE/kexec/partial"
  private_apt apt-get -y --download-only -o Dir::Cache::Archives="$PRIVATE/kexec" install kexec-tools:arm64
  tree=$(mktemp -d "$PAYLOAD/tree.XXXXXX")
  mkdir -p "$tree"/usr/{bin,sbin,lib}
  ln -s usr/bin usr/sbin usr/lib "$tree/"
  for deb in "$PRIVATE"/kexec/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$tree" --no-same-owner --keep-directory-symlink \
      --exclude='./usr/share' --exclude='./etc' --exclude='./var'
  done
  rm -rf "$out"
  /usr/bin/python3 "$ROOT/tools/setup/closure.py" "$tree" usr/sbin/kexec "$out"
  rm -rf "$tree" "$PRIVATE/kexec"
}

setup_kexec() {
  local inputs
  inputs=$(fingerprint "$ROOT/tools/setup/kexec.sh" "$ROOT/tools/setup/closure.py" "$ROOT/tools/setup/sources.sh")
  if is_stamped kexec "$inputs" && [ -x "$PAYLOAD/kexec/usr/sbin/kexec" ]; then return; fi
  need_debian
  step payload-kexec "payloads: kexec-tools" make_kexec
  set_stamp kexec "$inputs"
}
