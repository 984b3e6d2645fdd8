// Drives QEMU's "edu" device through VFIO, as an ordinary program of a guest that has an IOMMU, and
// then sends it where it has no business: to another device's buffer, and out of the guest.
//
// usage: edu_stray EDU ORDER…     EDU = 0000:00:03.0, bound to vfio-pci
//   nvme:SLOT         the buffer of the drive's admin queue, by the address that the drive itself
//                     uses: mapped for the drive as long as its driver lives, and for nobody else
//   unmapped:ADDRESS  an address that means nothing to edu
//   outside:ADDRESS   a guest-physical address where this guest has nothing, mapped for edu, so
//                     that only the stage of translation that is not the guest's can stop it
//
//   RESULT edu device=EDU group=N identification=0x…
//   RESULT edu control address=0x… wrote=yes|no read=yes|no       (edu.h; again after each order)
//   RESULT edu stray kind=nvme|unmapped address=0x… transfers=done|stuck readback=…
//   RESULT edu stray kind=outside address=0x… through=0x… transfers=done|stuck readback=…
//
// exit status: 0 all orders carried out, 1 the control failed, 2 no device or no rights.
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "edu.h"

enum { kNvmeAdminSubmission = 0x28, kPathBytes = 300 };

// Where edu sees what is mapped for it. The kernel hands out addresses for its own drivers from the
// top of the lower 4 GiB downwards: these are far away from them. What is outside is seen from
// kWindow on, so that no address is its own image.
static const uint64_t kOwnPage = 0x100000;
static const uint64_t kWindow = UINT64_C(1) << 33;

struct Vfio {
  int container;
  int group;
  int device;
  int group_number;
};

static bool failed(const char* what) {
  printf("RESULT edu failed %s: %s\n", what, strerror(errno));
  return false;
}

static bool map(const struct Vfio* vfio, void* memory, uint64_t address) {
  struct vfio_iommu_type1_dma_map request = {
      .argsz = sizeof request,
      .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
      .vaddr = (uintptr_t)memory,
      .iova = address,
      .size = kPage};
  return ioctl(vfio->container, VFIO_IOMMU_MAP_DMA, &request) == 0;
}

static void unmap(const struct Vfio* vfio, uint64_t address) {
  struct vfio_iommu_type1_dma_unmap request = {
      .argsz = sizeof request, .iova = address, .size = kPage};
  (void)ioctl(vfio->container, VFIO_IOMMU_UNMAP_DMA, &request);
}

static int group_of(const char* slot) {
  char path[kPathBytes];
  char target[kPathBytes];
  (void)snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/iommu_group", slot);
  const ssize_t length = readlink(path, target, sizeof target - 1);
  if (length < 0) {
    return -1;
  }
  target[length] = '\0';
  const char* last = strrchr(target, '/');
  return last != NULL ? atoi(last + 1) : -1;
}

static bool open_vfio(struct Vfio* vfio, const char* slot) {
  char path[kPathBytes];
  vfio->group_number = group_of(slot);
  (void)snprintf(path, sizeof path, "/dev/vfio/%d", vfio->group_number);
  vfio->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
  vfio->group = open(path, O_RDWR | O_CLOEXEC);
  if (vfio->container < 0 || vfio->group < 0) {
    return failed(path);
  }
  if (ioctl(vfio->group, VFIO_GROUP_SET_CONTAINER, &vfio->container) != 0 ||
      ioctl(vfio->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) != 0) {
    return failed("set-iommu");
  }
  vfio->device = ioctl(vfio->group, VFIO_GROUP_GET_DEVICE_FD, slot);
  return vfio->device >= 0 || failed("get-device");
}

static bool map_bar(const struct Vfio* vfio, struct Edu* edu) {
  struct vfio_region_info bar = {.argsz = sizeof bar, .index = VFIO_PCI_BAR0_REGION_INDEX};
  struct vfio_region_info config = {.argsz = sizeof config, .index = VFIO_PCI_CONFIG_REGION_INDEX};
  if (ioctl(vfio->device, VFIO_DEVICE_GET_REGION_INFO, &bar) != 0 ||
      ioctl(vfio->device, VFIO_DEVICE_GET_REGION_INFO, &config) != 0) {
    return failed("region-info");
  }
  const off_t at = (off_t)config.offset + PCI_COMMAND;
  uint16_t command = 0;
  if (pread(vfio->device, &command, sizeof command, at) != sizeof command) {
    return failed("read-command");
  }
  command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
  if (pwrite(vfio->device, &command, sizeof command, at) != sizeof command) {
    return failed("write-command");
  }
  void* memory =
      mmap(NULL, kBarBytes, PROT_READ | PROT_WRITE, MAP_SHARED, vfio->device, (off_t)bar.offset);
  edu->bar = memory;
  return memory != MAP_FAILED || failed("map-bar");
}

static bool open_device(struct Vfio* vfio, struct Edu* edu, const char* slot) {
  if (!open_vfio(vfio, slot) || !map_bar(vfio, edu)) {
    return false;
  }
  edu->page =
      mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  edu->page_address = kOwnPage;
  if (edu->page == MAP_FAILED || !map(vfio, edu->page, kOwnPage)) {
    return failed("map-page");
  }
  const uint32_t id = identification(edu);
  printf("RESULT edu device=%s group=%d identification=0x%08x\n", slot, vfio->group_number, id);
  return (id & 0xff) == 0xed;
}

// The address that the drive uses for its admin submission queue, from the drive's own register.
static bool admin_queue(const char* slot, uint64_t* address) {
  char path[kPathBytes];
  (void)snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource0", slot);
  const int file = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
  const volatile uint8_t* bar = mmap(NULL, kPage, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (bar == MAP_FAILED) {
    return failed("map-drive");
  }
  const volatile uint32_t* words = (const volatile uint32_t*)(bar + kNvmeAdminSubmission);
  *address = words[0] | (uint64_t)words[1] << 32;
  (void)munmap((void*)(uintptr_t)bar, kPage);
  return *address != 0 && *address != kOwnPage;
}

static bool stray(struct Edu* edu, const char* kind, uint64_t address) {
  const char* found = probe_memory(edu, address, 1);
  printf("RESULT edu stray kind=%s address=0x%llx transfers=%s readback=%s\n", kind,
         (unsigned long long)address, edu->stuck ? "stuck" : "done", found);
  return true;
}

// Until long after the device was cut off.
static bool flood(struct Edu* edu, uint64_t address) {
  for (int i = 0; i < 14; ++i) {
    device_writes(edu, address, kPage);
  }
  printf("RESULT edu flood transfers=%s\n", edu->stuck ? "stuck" : "done");
  return true;
}

static bool stray_outside(const struct Vfio* vfio, struct Edu* edu, uint64_t address) {
  const int file = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
  void* memory = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)address);
  close(file);
  const uint64_t window = kWindow + address;
  if (memory == MAP_FAILED || !map(vfio, memory, window)) {
    return failed("map-outside");
  }
  const char* found = probe_memory(edu, window, 2);
  printf("RESULT edu stray kind=outside address=0x%llx through=0x%llx transfers=%s readback=%s\n",
         (unsigned long long)address, (unsigned long long)window, edu->stuck ? "stuck" : "done",
         found);
  unmap(vfio, window);
  (void)munmap(memory, kPage);
  return true;
}

static bool obey(const struct Vfio* vfio, struct Edu* edu, const char* order) {
  if (strncmp(order, "nvme:", 5) == 0) {
    uint64_t address = 0;
    return admin_queue(order + 5, &address) && stray(edu, "nvme", address);
  }
  if (strncmp(order, "unmapped:", 9) == 0) {
    return stray(edu, "unmapped", strtoull(order + 9, NULL, 16));
  }
  if (strncmp(order, "flood:", 6) == 0) {
    return flood(edu, strtoull(order + 6, NULL, 16));
  }
  if (strncmp(order, "outside:", 8) == 0) {
    return stray_outside(vfio, edu, strtoull(order + 8, NULL, 16));
  }
  printf("RESULT edu bad-order %s\n", order);
  return false;
}

int main(int argc, char** argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  struct Vfio vfio;
  struct Edu edu;
  if (argc < 2 || !open_device(&vfio, &edu, argv[1])) {
    return 2;
  }
  if (!control(&edu)) {
    return 1;
  }
  for (int i = 2; i < argc; ++i) {
    if (!obey(&vfio, &edu, argv[i])) {
      return 2;
    }
    if (!control(&edu)) {
      return 1;
    }
  }
  return 0;
}
