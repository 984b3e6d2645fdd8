"""What runs on the board: domains, their devices, their configuration and the bundle."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import hostile
import initramfs
import paths

MIB = 1 << 20
RAM_BASE = 0x4000_0000  # of the board, and of every guest
BOARD_RAM = 4096 * MIB

# Debian's kernel writes on the first PL011. `quiet` because every character is a trap; panic=-1
# makes a panic a reboot, at once.
CMDLINE = "console=ttyAMA0 panic=-1 quiet loglevel=4 printk.devkmsg=off"

NVME = "0000:01:00.0"
IGB = "0000:02:00.0"
EDU = "0000:00:03.0"


@dataclass
class Device:
    host: str
    accept: tuple[str, ...] = ()
    guest: str | None = None  # where the domain sees it; by default the next free slot
    quarantine: str | None = None
    deny: tuple[str, ...] = ()

    def toml(self) -> str:
        lines = ["[[domain.device]]", f'host = "{self.host}"']
        if self.quarantine is not None:
            lines.append(f'quarantine = "{self.quarantine}"')
        if self.deny:
            lines.append("deny = [" + ", ".join(f'"{word}"' for word in self.deny) + "]")
        if self.guest is not None:
            lines.append(f'guest = "{self.guest}"')
        if self.accept:
            lines.append("accept = [" + ", ".join(f'"{word}"' for word in self.accept) + "]")
        return "\n".join(lines)


@dataclass
class Domain:
    name: str
    cpus: list[int]
    kernel: Path
    initrd: Path | None = None
    words: str = ""
    memory: int = 512 * MIB
    memory_base: int | None = None
    iommu: str | None = None  # the kind of IOMMU that the guest gets of its own
    control: bool = False
    hardware: bool = False
    slots: int = 0
    autostart: bool = True
    on_reboot: str = "restart"
    kernel_offset: int | None = None  # of a raw image
    devices: list[Device] = field(default_factory=list)

    @property
    def cmdline(self) -> str:
        return f"{CMDLINE} {self.words}".strip() if self.initrd else self.words

    def toml(self) -> str:
        lines = ["[[domain]]", f'name = "{self.name}"', f"cpus = {self.cpus}",
                 f'memory = "{self.memory // MIB}M"', f'kernel = "{self.kernel}"']
        if self.memory_base is not None:
            lines.append(f"memory_base = 0x{self.memory_base:x}")
        if self.kernel_offset is not None:
            lines.append(f"kernel_offset = 0x{self.kernel_offset:x}")
        if self.iommu is not None:
            lines.append(f'iommu = "{self.iommu}"')
        for role in ("control", "hardware"):
            if getattr(self, role):
                lines.append(f"{role} = true")
        if self.slots:
            lines.append(f"slots = {self.slots}")
        if not self.autostart:
            lines.append("autostart = false")
        if self.on_reboot != "restart":
            lines.append(f'on_reboot = "{self.on_reboot}"')
        if self.initrd is not None:
            lines.append(f'initrd = "{self.initrd}"')
        if self.cmdline:
            lines.append(f'cmdline = "{self.cmdline}"')
        return "\n".join([*lines, "", *[each.toml() + "\n" for each in self.devices]])


def guest(name: str, role: str, kernel: str, cpus: list[int], words: str = "", **more) -> Domain:
    """A Debian guest that plays `role` (see initramfs.ROLES)."""
    return Domain(name, cpus, paths.kernel_image(kernel), initramfs.build(role, kernel),
                  f"role={initramfs.ROLES[role].script or role} {words}".strip(), **more)


def hostile_guest(program: str, cpus: list[int], name: str = "hostile") -> Domain:
    """One of the bare programs that mean no good."""
    return Domain(name, cpus, hostile.build(program), memory=64 * MIB)


def configuration(domains: list[Domain], backends: dict[str, str] | None = None,
                  board: str = "qemu-virt-gicv3-smmuv3", timeout: int | None = None,
                  hidden: list[str] | None = None) -> str:
    parts = [f'board = "{board}"']
    if hidden:
        parts.append("hidden = [" + ", ".join(f'"{bdf}"' for bdf in hidden) + "]")
    parts += ["", *[each.toml() for each in domains]]
    if timeout is not None:
        parts += ["[run]", f"timeout = {timeout}", ""]
    if backends:
        parts += ["[run.backend]", *[f'{name} = "{text}"' for name, text in backends.items()], ""]
    return "\n".join(parts)


def write_configuration(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def bundle(domains: list[Domain], folder: Path, **configuration_words) -> Path:
    """Builds the bundle with `penstock build`."""
    tool = paths.need(paths.TOOL, "./dev build")
    image = paths.need(paths.IMAGE, "./dev build")
    config = write_configuration(folder / "config.toml",
                                 configuration(domains, **configuration_words))
    out = folder / "bundle.img"
    done = subprocess.run([str(tool), "build", str(config), "-o", str(out), "--hypervisor",
                           str(image)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"penstock build failed:\n{done.stdout}{done.stderr}")
    return out


def drive_backend(image: Path, name: str = "nvme0") -> str:
    return f"-drive if=none,id={name},format=raw,file={image}"


def network_backend(name: str = "net0") -> str:
    return f"-netdev user,id={name}"


def sriov_devices(nvme: Path | None = None, igb: bool = False, vfs: int = 4) -> list[str]:
    """A drive on bus 1 and a card on bus 2 that can have virtual functions. Each drive function has
    the admin queue and two more; the flexible queues and interrupts are for the virtual ones."""
    words = ["-device", "pcie-root-port,id=port1,bus=pcie.0,addr=0x1,chassis=1,slot=1",
             "-device", "pcie-root-port,id=port2,bus=pcie.0,addr=0x2,chassis=2,slot=2"]
    if nvme is not None:
        flexible = 3 * vfs
        words += [*drive_backend(nvme).split(), "-device", "nvme-subsys,id=subsys0", "-device",
                  "nvme,id=nvme,bus=port1,addr=0x0,serial=penstock0,subsys=subsys0,"
                  f"sriov_max_vfs={vfs},sriov_vq_flexible={flexible},sriov_vi_flexible={flexible},"
                  f"max_ioqpairs={flexible + 2},msix_qsize={flexible + 3}",
                  "-device", "nvme-ns,drive=nvme0,bus=nvme,nsid=1,shared=on"]
    if igb:
        words += [*network_backend().split(), "-device",
                  "igb,id=nic,bus=port2,addr=0x0,netdev=net0,mac=52:54:00:12:34:56,romfile="]
    return words


def qemu_devices(nvme: Path | None = None, igb: bool = False, edu: bool = False) -> list[str]:
    """The devices of the demo at the places where the demo has them: the drive on bus 1 and the
    card on bus 2, each behind a root port, edu at 00:03.0."""
    words = ["-device", "pcie-root-port,id=port1,bus=pcie.0,addr=0x1,chassis=1,slot=1",
             "-device", "pcie-root-port,id=port2,bus=pcie.0,addr=0x2,chassis=2,slot=2"]
    if nvme is not None:
        words += [*drive_backend(nvme).split(), "-device",
                  "nvme,id=nvme,bus=port1,addr=0x0,drive=nvme0,serial=penstock0"]
    if igb:
        words += [*network_backend().split(), "-device",
                  "igb,id=nic,bus=port2,addr=0x0,netdev=net0,mac=52:54:00:12:34:56,romfile="]
    if edu:
        words += ["-device", "edu,id=edu,bus=pcie.0,addr=0x3,dma_mask=0xffffffffffffffff"]
    return words
