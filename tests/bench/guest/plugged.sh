# Role of a guest whose drive comes and goes: it says when it is up and when it has read each drive's first block.
result "up at=$(probe clock)"
while :; do
    result "io at=$(probe io /dev/nvme0n1)"
    while [ -e /dev/nvme0n1 ]; do usleep 20000; done
    result "unplugged"
done
