# shellcheck shell=bash
# Which archive this machine gets Debian from, as apt itself understands its configuration (both formats of it). No
# host is named anywhere in this repository: mirrors and proxies of the machine are used as they are. Sourced.

# Lists "RELEASE URI FILE" of every binary source whose signed Release file says it is Debian's.
debian_targets() {
  # shellcheck disable=SC2016  # the $(...) are apt's, not the shell's
  apt-get indextargets --format '$(ORIGIN)|$(RELEASE)|$(REPO_URI)|$(SOURCESENTRY)' 'Created-By: Packages' 2>/dev/null |
    sed -n -e 's/^Debian\( Backports\)\{0,1\}|\([^|]*\)|\([^|]*\)|\([^|]*\):[0-9]*$/\2 \3 \4/p' | sort -u
}

# The Signed-By of the entry for URI $1 in the apt source file $2, where it names a file.
keyring_of() {
  local uri=${1%/} file=$2 keyring
  case $file in
    *.sources)
      keyring=$(awk -v uri="$uri" 'BEGIN { RS = ""; FS = "\n" } {
          hit = 0; key = ""
          for (i = 1; i <= NF; i++) {
            if ($i ~ /^URIs:/) { n = split($i, word, /[ \t]+/)
                                 for (w = 2; w <= n; w++) { sub(/\/$/, "", word[w]); if (word[w] == uri) hit = 1 } }
            if ($i ~ /^Signed-By:/) { key = $i; sub(/^Signed-By:[ \t]*/, "", key) }
          }
          if (hit) { print key; exit } }' "$file") ;;
    *) keyring=$(grep -F "$uri" "$file" | sed -n 's/.*signed-by=\([^],]*\).*/\1/p' | head -n 1) ;;
  esac
  [ -f "$keyring" ] || keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -f "$keyring" ] || return 1
  printf '%s\n' "$keyring"
}

# Sets DEBIAN_URI, DEBIAN_KEYRING and, where the machine has them, SECURITY_URI and SECURITY_KEYRING.
find_debian() {
  local release uri file
  DEBIAN_URI='' DEBIAN_KEYRING='' SECURITY_URI='' SECURITY_KEYRING=''
  while read -r release uri file; do
    case $release in
      *-security) SECURITY_URI=$uri; SECURITY_KEYRING=$(keyring_of "$uri" "$file") || true ;;
      *-updates | *-backports) ;;
      *) DEBIAN_URI=$uri; DEBIAN_KEYRING=$(keyring_of "$uri" "$file") || true ;;
    esac
  done < <(debian_targets)
  [ -n "$DEBIAN_URI" ] && [ -n "$DEBIAN_KEYRING" ]
}

# The same, after an `apt-get update` where the machine has never made one.
need_debian() {
  find_debian && return
  step apt-update "reading the package lists of this machine" as_root apt-get -q update
  find_debian || die "apt on this machine has no package source that is signed as Debian's own. Penstock's set-up takes
its packages by name from Debian 12 or newer. Add the machine's usual Debian mirror to /etc/apt/sources.list.d, run
'apt-get update', and start again."
}

# One source entry in deb822 form: URI, keyring, suites.
deb822() {
  printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' "${1%/}" "${*:3}" "$2"
}
