# shellcheck shell=bash
# bash completion for penstockctl: `penstockctl completion bash > /etc/bash_completion.d/penstockctl`
_penstockctl() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} word command='' place=0 i
  local commands='list info create start pause unpause shutdown destroy attach detach reset hide unhide devices
    console top audit report log hello completion'
  case $previous in
    --device) mapfile -t COMPREPLY < <(compgen -W "$(ls /sys/bus/pci/devices 2>/dev/null)" -- "$current"); return ;;
    --board) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    --accept) mapfile -t COMPREPLY < <(compgen -W 'no-reset insecure no-reset,insecure' -- "$current"); return ;;
    --timeout | --interval | --count | --guest | --send | --until | --only) return ;;
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case ${COMP_WORDS[i - 1]} in
      --device | --timeout | --board | --accept | --interval | --count | --guest | --send | --until | --only) continue ;;
    esac
    case $word in
      -*) ;;
      *) if [ -z "$command" ]; then command=$word; else place=$((place + 1)); fi ;;
    esac
  done
  if [[ $current == -* ]]; then
    local options='--json --device --timeout --help'
    case $command in
      list | devices) options+=' --names' ;;
      create) options+=' --board --off --only' ;;
      shutdown | destroy) options+=' --no-wait' ;;
      attach) options+=' --guest --accept' ;;
      detach) options+=' --ask-only --force --no-wait' ;;
      console) options+=' --dump --raw --send --until' ;;
      top) options+=' --once --interval --count' ;;
      log) options+=' --follow' ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    return
  fi
  local words=''
  case $command:$place in
    :*) words=$commands ;;
    info:0 | start:0 | pause:0 | unpause:0 | shutdown:0 | destroy:0 | console:0 | attach:1)
      words=$(penstockctl list --names 2>/dev/null) ;;
    attach:0 | detach:0 | reset:0 | hide:0 | unhide:0 | report:0)
      words=$(penstockctl devices --names 2>/dev/null) ;;
    create:0) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    completion:0) words='bash zsh' ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  # The colons of an address separate words for readline.
  if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions "$current"; fi
}
complete -F _penstockctl penstockctl
