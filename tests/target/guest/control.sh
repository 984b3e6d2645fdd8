# Role "control": the control domain. Each line typed on its console is `TAG COMMAND...`; the
# command's output comes back line by line as `OUT TAG text`, then `RESULT control done TAG status=N`.
result "ok kernel=$(uname -r)"
list_pci
# A PF's own driver must not take the VFs that it makes: they are given away.
for physical in /sys/bus/pci/devices/*/sriov_drivers_autoprobe; do
    [ -e "$physical" ] && echo 0 >"$physical"
done
result "listening"
while read -r tag command; do
    case $tag in
        "") continue ;;
        poweroff) result "leaving poweroff"; poweroff -f; sleep 60 ;;
        reboot) result "leaving reboot"; reboot -f; sleep 60 ;;
    esac
    { (eval "$command") 2>&1; echo "status=$?" >/tmp/status; } | sed "s/^/OUT $tag /"
    result "done $tag $(cat /tmp/status)"
done
result "console-ended"
