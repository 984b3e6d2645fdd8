# shellcheck shell=bash
# The workstation's packages: compilers, libraries, QEMU. Sourced. Looks first and installs only what is missing.

QEMU_WANTED=10
BACKPORTS_FILE=/etc/apt/sources.list.d/penstock-backports.sources
APT_INSTALL=(apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends)

missing_packages() {
  local wanted
  mapfile -t wanted < <(sed 's/#.*//; /^[[:space:]]*$/d' "$ROOT/tools/setup/packages.txt")
  # dpkg-query fails for a name it never heard of; what it prints is enough.
  comm -23 <(printf '%s\n' "${wanted[@]}" | sort -u) \
    <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null | sed -n 's/^installed //p' | sort -u)
}

qemu_major() { qemu-system-aarch64 --version 2>/dev/null | sed -n '1s/.*version \([0-9]*\)\..*/\1/p'; }
qemu_is_there() { local major; major=$(qemu_major); [ "${major:-0}" -ge "$QEMU_WANTED" ]; }

qemu_candidate() { # [suite]: the major version that apt would install
  apt-cache ${1:+-o APT::Default-Release="$1"} policy qemu-system-arm |
    sed -n 's/.*Candidate: \([0-9]*:\)\{0,1\}\([0-9]*\)\..*/\2/p'
}

install_missing() {
  as_root "${APT_INSTALL[@]}" update
  as_root "${APT_INSTALL[@]}" install "$@"
}

add_backports() {
  local suite=$1 entry
  entry=$(mktemp)
  deb822 "$DEBIAN_URI" "$DEBIAN_KEYRING" "$suite" >"$entry"
  as_root install -m 644 "$entry" "$BACKPORTS_FILE"
  rm -f "$entry"
  as_root "${APT_INSTALL[@]}" update
}

install_qemu() {
  local suite
  suite=$(. /etc/os-release && printf '%s-backports' "${VERSION_CODENAME:-}")
  as_root "${APT_INSTALL[@]}" update
  if [ "$(qemu_candidate)" -ge "$QEMU_WANTED" ] 2>/dev/null; then
    as_root "${APT_INSTALL[@]}" install qemu-system-arm
  else
    debian_targets | grep -q "^$suite " || add_backports "$suite"
    as_root "${APT_INSTALL[@]}" install -t "$suite" qemu-system-arm
  fi
  qemu_is_there
}

setup_host() {
  local missing
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    die "this machine has no apt: set-up installs packages on Debian 12 or newer only. On another system install by
hand what tools/setup/packages.txt lists, and QEMU $QEMU_WANTED or newer for arm64."
  fi
  mapfile -t missing < <(missing_packages)
  if [ "${#missing[@]}" -gt 0 ]; then
    need_debian
    step packages "installing ${#missing[@]} Debian packages" install_missing "${missing[@]}"
  fi
  if ! qemu_is_there; then
    need_debian
    if [ -z "$(qemu_major)" ]; then say "  QEMU for arm64 is not there"; else say "  QEMU $(qemu_major) is too old"; fi
    step qemu "installing QEMU $QEMU_WANTED or newer (Debian's backports)" install_qemu
  fi
}
