#compdef penstockctl
# zsh completion for penstockctl: `penstockctl completion zsh > /usr/share/zsh/site-functions/_penstockctl`

_penstockctl_domains() {
  local -a names
  names=(${(f)"$(penstockctl list --names 2>/dev/null)"})
  compadd -a names
}

_penstockctl_devices() {
  local -a names
  names=(${(f)"$(penstockctl devices --names 2>/dev/null)"})
  compadd -a names
}

_penstockctl() {
  local -a commands common
  commands=(
    'list:domains and what they have' 'info:everything about one domain'
    'create:create domains from a configuration' 'start:start a domain that is off'
    'pause:stop its CPUs, keep its state' 'unpause:let it go on' 'shutdown:press its power button'
    'destroy:end it, take back all it has' 'attach:give a device to a domain'
    'detach:take a device from its domain' 'reset:reset a device that is nobody'\''s'
    'hide:take a device out of sight' 'unhide:bring it back' 'devices:devices and their owners'
    'console:a domain'\''s console' 'top:rates of traps, interrupts, faults'
    'audit:compare the hypervisor'\''s books with the hardware' 'report:security statement of each device'
    'log:the hypervisor'\''s log' 'hello:version, memory, CPUs' 'completion:print a completion script')
  common=('--json[print JSON]' '--device[the control function]:PCI function:' '--timeout[seconds for each wait]:seconds:'
    '(- *)--help[help]')
  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
    _describe command commands
    return
  fi
  case $words[2] in
    list|devices) _arguments $common '--names[only names]' ;;
    info|start|pause|unpause) _arguments $common '2:domain:_penstockctl_domains' ;;
    shutdown|destroy) _arguments $common '--no-wait[do not wait]' '2:domain:_penstockctl_domains' ;;
    create) _arguments $common '--board[board description]:file:_files' '--off[do not start]' \
      '--only[one domain of the file]:name:' '2:configuration:_files' ;;
    attach) _arguments $common '--guest[address in the domain]:address:' \
      '--accept[risks]:risk:(no-reset insecure no-reset,insecure)' '2:device:_penstockctl_devices' \
      '3:domain:_penstockctl_domains' ;;
    detach) _arguments $common '--ask-only[a guest that does not let go keeps it]' '--force[do not ask the guest]' '--no-wait[do not wait]' '2:device:_penstockctl_devices' ;;
    reset|hide|unhide|report) _arguments $common '2:device:_penstockctl_devices' ;;
    console) _arguments $common '--dump[print and end]' '--raw[obey control characters]' '--send[type a line]:line:' '--until[end at this text]:text:' \
      '2:domain:_penstockctl_domains' ;;
    top) _arguments $common '--once[one picture]' '--interval[seconds]:seconds:' '--count[pictures]:number:' ;;
    log) _arguments $common '--follow[go on]' ;;
    completion) _arguments $common '2:shell:(bash zsh)' ;;
    *) _arguments $common ;;
  esac
}

_penstockctl "$@"
