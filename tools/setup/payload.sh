# shellcheck shell=bash
# Guest payloads: arm64 packages of Debian 12, by name, into a private apt root under build/. The host's own packages,
# lists and configuration are not touched; apt checks every list's signature and every package's hash. Sourced.
#
#   build/payload/kernel-6.1/{Image,modules/,version}     Debian 12's kernel
#   build/payload/kernel-6.12/{Image,modules/,version}    Debian 12's backported kernel (6.12, else the newest)
#   build/payload/busybox                                 static, arm64
#   build/payload/fio/                                    a root tree with fio, its libraries and the loader
#   build/payload/libfdt/{lib/libfdt.a,include/}          for the hypervisor itself
#   build/payload/headers-6.12/                           only for the benchmark's kernel module (headers.sh)

PAYLOAD=$BUILD/payload
PRIVATE=$PAYLOAD/apt
SUITE=bookworm
HOST_ARCH=$(dpkg --print-architecture 2>/dev/null || true)

private_apt() { local tool=$1; shift; "$tool" -q -c "$PRIVATE/apt.conf" "$@"; }

make_private_root() {
  mkdir -p "$PRIVATE"/{sources.d,empty.d,lists/partial,cache/archives/partial,debs}
  : >"$PRIVATE/status"
  {
    deb822 "$DEBIAN_URI" "$DEBIAN_KEYRING" "$SUITE" "$SUITE-updates" "$SUITE-backports"
    [ -z "$SECURITY_URI" ] || deb822 "$SECURITY_URI" "$SECURITY_KEYRING" "$SUITE-security"
  } >"$PRIVATE/sources.d/debian.sources"
  cat >"$PRIVATE/apt.conf" <<CONF
#clear APT::Architectures;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
APT::Architecture "arm64";
APT::Architectures { "arm64"; "$HOST_ARCH"; };
APT::Default-Release "$SUITE";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Languages "none";
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "$PRIVATE/sources.d";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "$PRIVATE/empty.d";
Dir::State::Lists "$PRIVATE/lists";
Dir::State::Status "$PRIVATE/status";
Dir::State::extended_states "$PRIVATE/extended_states";
Dir::Cache "$PRIVATE/cache";
Dir::Cache::Archives "$PRIVATE/cache/archives";
CONF
}

update_private_root() {
  make_private_root
  private_apt apt-get update
}

# The version of the metapackage of a kernel line ("6.12"), or of the newest kernel where that line is gone.
kernel_version() {
  local all
  all=$(private_apt apt-cache madison linux-image-arm64 | awk '{ print $3 }' | sort -uV)
  grep "^${1/./\\.}[.-]" <<<"$all" | tail -n 1 | grep . || tail -n 1 <<<"$all"
}

# The package with the kernel itself that this version of the metapackage stands for.
kernel_package() {
  private_apt apt-cache show "linux-image-arm64=$(kernel_version "$1")" |
    sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p' | head -n 1
}

# Packages by name, without what they depend on; prints where they lie.
download() {
  mkdir -p "$PRIVATE/debs"
  (cd "$PRIVATE/debs" && private_apt apt-get download "$@")
}
deb_of() { # PACKAGE -> its newest downloaded file
  local files=("$PRIVATE/debs/$1"_*.deb)
  [ -f "${files[0]}" ] || { say "package $1 was not downloaded" >&2; return 1; }
  ls -t "${files[@]}" | head -n 1
}

# Debian's arm64 kernel may come as a plain Image, as gzip of it, or as an EFI program that unpacks one. Makes it plain.
plain_image() {
  /usr/bin/python3 - "$1" "$2" <<'PY'
import gzip, struct, subprocess, sys
data = open(sys.argv[1], "rb").read()
if data[4:8] == b"zimg":
    offset, size = struct.unpack_from("<II", data, 8)
    kind, body = data[24:56].split(b"\0")[0].decode(), data[offset:offset + size]
    if kind == "gzip":
        data = gzip.decompress(body)
    else:
        program = {"zstd": "zstd", "zstd22": "zstd", "xz": "xz", "xzkern": "xz", "lzma": "xz"}[kind]
        data = subprocess.run([program, "-dc"], input=body, stdout=subprocess.PIPE, check=True).stdout
elif data[:2] == b"\x1f\x8b":
    data = gzip.decompress(data)
if data[56:60] != b"ARM\x64":
    sys.exit(f"{sys.argv[1]} holds no arm64 Image")
open(sys.argv[2], "wb").write(data)
PY
}

make_kernel() { # LINE: fills build/payload/kernel-LINE
  local line=$1 package release tree out
  package=$(kernel_package "$line")
  release=${package#linux-image-}
  say "kernel $line: $package"
  download "$package"
  tree=$(mktemp -d "$PAYLOAD/tree.XXXXXX")
  out=$PAYLOAD/kernel-$line
  dpkg-deb -x "$(deb_of "$package")" "$tree"
  rm -rf "$out"
  mkdir -p "$out/modules/lib/modules"
  plain_image "$tree/boot/vmlinuz-$release" "$out/Image"
  mv "$tree/lib/modules/$release" "$out/modules/lib/modules/"
  /sbin/depmod -b "$out/modules" "$release"
  printf '%s\n' "$release" >"$out/version"
  dpkg-deb -f "$(deb_of "$package")" Version >"$out/package-version"
  rm -rf "$tree"
}

make_busybox() {
  local tree
  download busybox-static
  tree=$(mktemp -d "$PAYLOAD/tree.XXXXXX")
  dpkg-deb -x "$(deb_of busybox-static)" "$tree"
  cp "$(find "$tree" -type f -path '*/bin/busybox' | head -n 1)" "$PAYLOAD/busybox"
  chmod 755 "$PAYLOAD/busybox"
  rm -rf "$tree"
}

make_libfdt() {
  local tree out=$PAYLOAD/libfdt
  download libfdt-dev:arm64
  tree=$(mktemp -d "$PAYLOAD/tree.XXXXXX")
  dpkg-deb -x "$(deb_of libfdt-dev)" "$tree"
  rm -rf "$out"
  mkdir -p "$out/lib" "$out/include"
  cp "$tree/usr/lib/aarch64-linux-gnu/libfdt.a" "$out/lib/"
  cp "$tree"/usr/include/*fdt*.h "$out/include/"
  rm -rf "$tree"
}

# fio and exactly the libraries that it needs, found by following the names in the ELF files, as the loader would.
make_fio() {
  local tree deb out=$PAYLOAD/fio
  private_apt apt-get -y --download-only -o Dir::Cache::Archives="$PRIVATE/fio" install fio:arm64
  tree=$(mktemp -d "$PAYLOAD/tree.XXXXXX")
  mkdir -p "$tree"/usr/{bin,sbin,lib}
  ln -s usr/bin usr/sbin usr/lib "$tree/"
  for deb in "$PRIVATE"/fio/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$tree" --no-same-owner --keep-directory-symlink \
      --exclude='./usr/share' --exclude='./etc' --exclude='./var'
  done
  rm -rf "$out"
  /usr/bin/python3 "$ROOT/tools/setup/closure.py" "$tree" usr/bin/fio "$out"
  rm -rf "$tree"
}

payload_inputs() {
  fingerprint "$ROOT/tools/setup/payload.sh" "$ROOT/tools/setup/closure.py" "$ROOT/tools/setup/sources.sh"
}

payload_is_there() {
  is_stamped payload "$1" && [ -f "$PAYLOAD/READY" ] && [ -f "$PAYLOAD/kernel-6.1/Image" ] &&
    [ -f "$PAYLOAD/kernel-6.12/Image" ] && [ -x "$PAYLOAD/busybox" ] && [ -x "$PAYLOAD/fio/usr/bin/fio" ] &&
    [ -f "$PAYLOAD/libfdt/lib/libfdt.a" ]
}

setup_payload() {
  local inputs
  inputs=$(payload_inputs)
  if payload_is_there "$inputs"; then return; fi
  need_debian
  rm -f "$PAYLOAD/READY"
  rm -rf "$PAYLOAD"/tree.*
  mkdir -p "$PRIVATE/fio/partial"
  step payload-lists "payloads: reading signed package lists (arm64)" update_private_root
  step payload-libfdt "payloads: libfdt for arm64" make_libfdt
  step payload-kernel-6.1 "payloads: Debian's kernel 6.1 and its modules (60 MB)" make_kernel 6.1
  step payload-kernel-6.12 "payloads: Debian's kernel 6.12 and its modules (100 MB)" make_kernel 6.12
  step payload-busybox "payloads: busybox" make_busybox
  step payload-fio "payloads: fio and its libraries" make_fio
  rm -rf "$PRIVATE/debs" "$PRIVATE/fio"
  set_stamp payload "$inputs"
  {
    for line in 6.1 6.12; do
      printf 'kernel-%s %s %s\n' "$line" "$(cat "$PAYLOAD/kernel-$line/version")" \
        "$(cat "$PAYLOAD/kernel-$line/package-version")"
    done
  } >"$PAYLOAD/READY"
}
