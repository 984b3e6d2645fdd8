"""Many rounds of domains and devices that come and go, as a script for the control domain's shell.

A round is drawn from a seed: a domain is made, devices are plugged in and out of it in some order,
orderly or by force, it is paused or not, and destroyed at some moment. Every few rounds the domain is
a Linux guest that works on the drive, and may lose it or its life in the middle of that. After each
round nothing may be left: no memory, no domain, no device that is not free, and the audit holds.
"""

import random
from dataclasses import dataclass

import scenario

BARE, LINUX = "bare", "linux"
DEVICES = (scenario.NVME, scenario.IGB)
LINUX_EVERY = 25

# What the script is made of: each step is tried, and a step that may not fail ends the soak.
HEAD = r"""
say() { echo "SOAK $*"; }
must() { "$@" >/tmp/out 2>&1 || { say "failed round=$round $*: $(tr '\n' ' ' </tmp/out)"; exit 1; }; }
refused() { "$@" >/tmp/out 2>&1 && { say "failed round=$round not refused: $*"; exit 1; }; return 0; }
state() { penstockctl hello --json | tr -d ' ,"' | grep -E '^(memory_free|pool_used):' | tr '\n' ' '; }
free_all() { penstockctl devices --json | grep -c '"state": "free"'; }
# Tables of the SMMU and the ITS come into being with the first device of their range, and stay.
must penstockctl create /guests/bare.toml
for device in $physical; do must penstockctl attach "$device" bare; done
must penstockctl destroy bare
before=$(state)
devices=$(free_all)
settled() {
    must penstockctl audit
    now=$(state)
    [ "$now" = "$before" ] || { say "failed round=$round memory: $now, was $before"; exit 1; }
    [ "$(free_all)" = "$devices" ] || { say "failed round=$round a device is not free"; exit 1; }
    [ "$(penstockctl list --names | wc -l)" = "$domains" ] || { say "failed round=$round a domain is left"; exit 1; }
    say "round $round"
}
"""


@dataclass
class Soak:
    seed: int
    rounds: int
    other_domains: int  # listed besides the one that comes and goes

    def script(self) -> str:
        dice = random.Random(self.seed)
        parts = [f"round=0\ndomains={self.other_domains}\nphysical='{' '.join(DEVICES)}'", HEAD]
        for number in range(1, self.rounds + 1):
            linux = number % LINUX_EVERY == 0
            steps = _linux_round(dice, number) if linux else _bare_round(dice)
            parts += [f"round={number}", *steps, "settled"]
        return "\n".join([*parts, f'say "ended rounds={self.rounds}"', ""])


def _bare_round(dice: random.Random) -> list[str]:
    """A guest that only waits: all that it does is done to it."""
    steps = [f"must penstockctl create /guests/{BARE}.toml"]
    there: set[str] = set()
    for _ in range(dice.randrange(5)):
        device = dice.choice(DEVICES)
        what = dice.randrange(6)
        if what <= 1 and device not in there:
            steps.append(f"must penstockctl attach {device} {BARE}")
            there.add(device)
        elif what <= 3 and device in there:
            # Nobody listens in this guest: it may never answer, and is then not asked any more.
            how = "--timeout 1" if what == 2 else "--force"
            steps.append(f"must penstockctl detach {device} {how}")
            there.discard(device)
        elif what == 4:
            steps.append(f"must penstockctl pause {BARE}")
            if dice.random() < 0.7:
                steps.append(f"must penstockctl unpause {BARE}")
            else:
                break
        else:
            steps.append(dice.choice([f"refused penstockctl create /guests/{BARE}.toml",
                                      f"refused penstockctl start {BARE}",
                                      f"refused penstockctl attach 0000:77:00.0 {BARE}",
                                      f"refused penstockctl detach {device}"
                                      if device not in there else
                                      f"refused penstockctl attach {device} control"]))
    return [*steps, f"must penstockctl destroy {BARE}"]


def _linux_round(dice: random.Random, number: int) -> list[str]:
    """A Linux guest that works on the drive."""
    def tell(line: str, until: str) -> str:
        return f"must penstockctl console {LINUX} --send '{line}' --until '{until}' --timeout 120"

    steps = [f"must penstockctl create /guests/{LINUX}.toml",
             f"must penstockctl console {LINUX} --send '' --until 'RESULT visitor listening' --timeout 120",
             f"must penstockctl attach {scenario.NVME} {LINUX}",
             tell(f"drive {number}", "RESULT visitor did drive")]
    ending = dice.randrange(4)
    if ending == 0:
        steps.append(f"must penstockctl detach {scenario.NVME}")
    elif ending == 1:
        steps += [tell("busy 1", "RESULT visitor did busy"),
                  f"must penstockctl detach {scenario.NVME} --force"]
    elif ending == 2:
        steps.append(tell("busy 1", "RESULT visitor did busy"))
    return [*steps, f"must penstockctl destroy {LINUX}"]
