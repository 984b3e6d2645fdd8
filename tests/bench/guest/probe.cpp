// The control domain's and a guest's stopwatch. All domains read the same counter, so that a moment
// of one can be compared with a moment of another; all times are nanoseconds of it.
//
//   probe clock                 -> now
//   probe run COMMAND...        -> begin end traps
//   probe list COUNT            -> begin end traps, of COUNT requests without a wait between them
//   probe pause|unpause DOMAIN  -> begin answered done traps
//   probe destroy DOMAIN        the same; done: it is listed no more
//   probe attach DEVICE DOMAIN  the same
//   probe detach|force DEVICE   the same; done: the device is free; `force` does not ask the guest
//   probe io DRIVE              -> when the first 4 KiB of the drive was read, once it is there
//
// DEVICE is the routing ID on the board in hexadecimal. Traps are the control domain's until the
// answer, with those of one request more, which reads the counter. Requests are made as
// core/control/abi.hpp says, by a program that is alone: it takes no lock.
#include <fcntl.h>
#include <glob.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>

#include "core/control/abi.hpp"

namespace {

using namespace penstock::control;

constexpr long kNap = 200'000;  // ns, between two looks: what a `done` may be late
constexpr std::uint64_t kPatience = 120'000'000'000;
constexpr std::size_t kBlock = 4096;

[[noreturn]] void die(const char* what, const char* why) {
  std::fprintf(stderr, "probe: %s: %s\n", what, why);
  std::exit(1);
}

std::uint64_t now() {
  std::uint64_t count, frequency;
  asm volatile("isb\n\tmrs %0, cntvct_el0\n\tmrs %1, cntfrq_el0"
               : "=r"(count), "=r"(frequency)::"memory");
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(count) * 1'000'000'000 /
                                    frequency);
}

void nap() {
  const timespec time{0, kNap};
  nanosleep(&time, nullptr);
}

/// True when a line of a sysfs file is this number.
bool reads(const char* folder, const char* name, unsigned value) {
  char path[256], text[32] = {};
  std::snprintf(path, sizeof path, "%s/%s", folder, name);
  const int file = open(path, O_RDONLY);
  const bool is =
      file >= 0 && read(file, text, sizeof text - 1) > 0 && std::strtoul(text, nullptr, 0) == value;
  if (file >= 0) close(file);
  return is;
}

std::uint8_t* map(const char* folder, const char* name, std::uint64_t bytes) {
  char path[256];
  std::snprintf(path, sizeof path, "%s/%s", folder, name);
  const int file = open(path, O_RDWR | O_SYNC);
  void* base =
      file < 0 ? MAP_FAILED : mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (base == MAP_FAILED) die(path, std::strerror(errno));
  return static_cast<std::uint8_t*>(base);
}

class Interface {
 public:
  Interface() {
    glob_t found;
    if (glob("/sys/bus/pci/devices/*", 0, nullptr, &found) != 0) die("PCI", "no functions");
    for (std::size_t i = 0; i < found.gl_pathc; ++i) {
      const char* folder = found.gl_pathv[i];
      if (!reads(folder, "class", kClassCode) || !reads(folder, "vendor", kVendorId)) continue;
      if (!reads(folder, "enable", 1)) die(folder, "is not enabled: call penstockctl first");
      registers_ = map(folder, "resource0", kRegisterBytes);
      window_ = map(folder, "resource2_wc", kWindowBytes);
    }
    globfree(&found);
    if (registers_ == nullptr) die("PCI", "no control interface");
    start_again();
  }

  /// After somebody else's requests: the numbers go on from where they are.
  void start_again() { sequence_ = at(kFinished); }

  /// The body of the answer.
  const std::uint8_t* request(Opcode opcode, const void* arguments = nullptr,
                              std::uint32_t size = 0) {
    for (const std::uint64_t start = now();;) {
      const Result result = ask(opcode, arguments, size);
      if (result == Result::kOk) return body_ + sizeof(ResponseHeader);
      if (result != Result::kBusy || now() - start > kPatience) die("refused", text());
      nap();
    }
  }
  template <typename Argument>
  const std::uint8_t* request(Opcode opcode, const Argument& argument) {
    return request(opcode, &argument, sizeof argument);
  }

  /// The first domain that `is` says yes to; its handle is kNoDomain when there is none.
  template <typename Is>
  DomainRecord find(Is is) {
    const std::uint8_t* list = request(Opcode::kListDomains);
    ListResult head;
    std::memcpy(&head, list, sizeof head);
    DomainRecord record{};
    for (std::uint32_t i = 0; i < head.count; ++i) {
      std::memcpy(&record, list + sizeof head + i * head.record_bytes, sizeof record);
      if (is(record)) return record;
    }
    record.domain = kNoDomain;
    return record;
  }
  DomainHandle domain(const char* name) {
    return find([&](const DomainRecord& each) { return std::strcmp(each.name, name) == 0; }).domain;
  }
  /// Of the control domain, this program's.
  std::uint64_t traps() {
    return find([](const DomainRecord& each) { return (each.flags & domain_flag::kControl) != 0; })
        .exits;
  }

  DeviceState state(std::uint16_t bdf) {
    const std::uint8_t* list = request(Opcode::kListDevices);
    ListResult head;
    std::memcpy(&head, list, sizeof head);
    for (std::uint32_t i = 0; i < head.count; ++i) {
      DeviceRecord record;
      std::memcpy(&record, list + sizeof head + i * head.record_bytes, sizeof record);
      if (record.bdf == bdf) return record.state;
    }
    die("device", "the board has no such one");
  }

 private:
  std::uint32_t at(std::uint64_t place) {
    return *reinterpret_cast<volatile std::uint32_t*>(registers_ + place);
  }

  Result ask(Opcode opcode, const void* arguments, std::uint32_t size) {
    if (++sequence_ == 0) ++sequence_;
    const RequestHeader header{sequence_, opcode,
                               static_cast<std::uint32_t>(sizeof(RequestHeader) + size), 0};
    std::memcpy(window_ + kRequestOffset, &header, sizeof header);
    if (size != 0) std::memcpy(window_ + kRequestOffset + sizeof header, arguments, size);
    asm volatile("dsb sy" ::: "memory");
    *reinterpret_cast<volatile std::uint32_t*>(registers_ + kDoorbell) = sequence_;
    for (const std::uint64_t start = now(); at(kFinished) != sequence_;) {
      if (now() - start > kPatience) die("request", "no answer");
      nap();
    }
    asm volatile("dsb sy" ::: "memory");
    ResponseHeader answer;
    std::memcpy(&answer, window_ + kResponseOffset, sizeof answer);
    bytes_ = answer.bytes > kResponseBytes ? 0 : answer.bytes;
    std::memcpy(body_, window_ + kResponseOffset, bytes_);
    return answer.result;
  }

  const char* text() {
    body_[bytes_] = 0;
    return reinterpret_cast<const char*>(body_ + sizeof(ResponseHeader));
  }

  std::uint8_t* registers_ = nullptr;
  std::uint8_t* window_ = nullptr;
  std::uint32_t sequence_ = 0;
  std::uint32_t bytes_ = 0;
  alignas(8) std::uint8_t body_[kResponseBytes + 1];
};

Interface& interface() {
  static Interface one;
  return one;
}

void print(std::initializer_list<std::uint64_t> numbers) {
  for (const std::uint64_t each : numbers) {
    std::printf("%llu ", static_cast<unsigned long long>(each));
  }
  std::printf("\n");
}

template <typename Done>
void timed(Opcode opcode, const void* arguments, std::uint32_t size, Done done) {
  const std::uint64_t traps = interface().traps();
  const std::uint64_t begin = now();
  interface().request(opcode, arguments, size);
  const std::uint64_t answered = now();
  const std::uint64_t traps_of_request = interface().traps() - traps;
  while (!done()) {
    if (now() - answered > kPatience) die("waited", "too long");
    nap();
  }
  print({begin, answered, now(), traps_of_request});
}

void on_domain(Opcode opcode, const char* name) {
  const DomainArgument argument{interface().domain(name), 0};
  if (argument.domain == kNoDomain) die(name, "no such domain");
  timed(opcode, &argument, sizeof argument,
        [&] { return opcode != Opcode::kDestroy || interface().domain(name) == kNoDomain; });
}

void on_device(Opcode opcode, const char* device, const char* domain, std::uint32_t flags) {
  const auto bdf = static_cast<std::uint16_t>(std::strtoul(device, nullptr, 16));
  const DeviceArgument argument{domain != nullptr ? interface().domain(domain) : 0, bdf, kNoBdf,
                                flags, 0};
  timed(opcode, &argument, sizeof argument,
        [&] { return opcode != Opcode::kDetach || interface().state(bdf) == DeviceState::kFree; });
}

void list(unsigned count) {
  const std::uint64_t traps = interface().traps();
  const std::uint64_t begin = now();
  for (unsigned i = 0; i < count; ++i) interface().request(Opcode::kListDomains);
  const std::uint64_t end = now();
  print({begin, end, interface().traps() - traps});
}

void run(char** command) {
  const std::uint64_t traps = interface().traps();
  const std::uint64_t begin = now();
  const pid_t child = fork();
  if (child == 0) {
    dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
    execvp(command[0], command);
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  const std::uint64_t end = now();
  if (status != 0) die(command[0], "failed");
  interface().start_again();
  print({begin, end, interface().traps() - traps});
}

void io(const char* drive) {
  alignas(kBlock) static char block[kBlock];
  for (;; nap()) {
    const int file = open(drive, O_RDONLY | O_DIRECT);
    if (file < 0) continue;
    const ssize_t got = read(file, block, sizeof block);
    close(file);
    if (got == static_cast<ssize_t>(sizeof block)) break;
  }
  print({now()});
}

}  // namespace

int main(int count, char** words) {
  const auto is = [&](const char* word, int needs) {
    return count >= needs + 2 && std::strcmp(words[1], word) == 0;
  };
  if (is("clock", 0))
    print({now()});
  else if (is("run", 1))
    run(words + 2);
  else if (is("list", 1))
    list(static_cast<unsigned>(std::strtoul(words[2], nullptr, 10)));
  else if (is("pause", 1))
    on_domain(Opcode::kPause, words[2]);
  else if (is("unpause", 1))
    on_domain(Opcode::kUnpause, words[2]);
  else if (is("destroy", 1))
    on_domain(Opcode::kDestroy, words[2]);
  else if (is("attach", 2))
    on_device(Opcode::kAttach, words[2], words[3], device_argument::kAcceptNoReset);
  else if (is("detach", 1))
    on_device(Opcode::kDetach, words[2], nullptr, 0);
  else if (is("force", 1))
    on_device(Opcode::kDetach, words[2], nullptr, device_argument::kForce);
  else if (is("io", 1))
    io(words[2]);
  else
    die("usage", "see the head of probe.cpp");
  return 0;
}
