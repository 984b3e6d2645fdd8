#include "core/control/server.hpp"

namespace penstock::control {
namespace {

/// What the arguments of an operation must look like.
struct Shape {
  std::uint16_t bytes;
  bool more;  // a text may follow
};

constexpr std::array<Shape, kOpcodeCount> kShapes = [] {
  std::array<Shape, kOpcodeCount> shapes{};
  const auto set = [&shapes](Opcode opcode, std::size_t bytes, bool more = false) {
    shapes[static_cast<std::size_t>(opcode)] = {static_cast<std::uint16_t>(bytes), more};
  };
  for (const Opcode opcode : {Opcode::kCounters, Opcode::kStart, Opcode::kPause, Opcode::kUnpause,
                              Opcode::kShutdown, Opcode::kDestroy}) {
    set(opcode, sizeof(DomainArgument));
  }
  for (const Opcode opcode :
       {Opcode::kBundleBegin, Opcode::kBundleWrite, Opcode::kBundleDrop, Opcode::kCreate}) {
    set(opcode, sizeof(BundleArgument));
  }
  for (const Opcode opcode :
       {Opcode::kAttach, Opcode::kDetach, Opcode::kReset, Opcode::kHide, Opcode::kUnhide}) {
    set(opcode, sizeof(DeviceArgument));
  }
  set(Opcode::kConsoleRead, sizeof(ConsoleArgument));
  set(Opcode::kLog, sizeof(ConsoleArgument));
  set(Opcode::kConsoleWrite, sizeof(ConsoleArgument), true);
  return shapes;
}();

constexpr std::uint32_t kMostText = 256;

template <typename T>
T read_as(std::span<const std::uint8_t> bytes) {
  T value;
  __builtin_memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

bool fits_shape(std::size_t bytes, const Shape& shape) {
  return shape.more ? bytes >= shape.bytes && bytes - shape.bytes <= kMostText
                    : bytes == shape.bytes;
}

bool are_flags(Opcode opcode, std::uint32_t flags) {
  if (opcode != Opcode::kReset) return (flags & ~device_argument::kAll) == 0;
  return (flags & ~(device_argument::kAll | device_argument::kMethod)) == 0 &&
         (flags & device_argument::kMethod) >> device_argument::kMethodShift < kResetMethodCount;
}

}  // namespace

std::uint64_t Server::read(std::uint64_t offset, unsigned size) const {
  if (size != 4) return 0;
  switch (offset) {
    case kMagic: return kMagicValue;
    case kVersion: return kVersionValue;
    case kFinished: return finished_.load(std::memory_order_acquire);
    default: return 0;
  }
}

void Server::write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  if (size == 4 && offset == kDoorbell) {
    rung_.store(static_cast<std::uint32_t>(value), std::memory_order_release);
  }
}

std::uint8_t* Server::at(std::uint64_t offset, std::uint64_t bytes) {
  return reinterpret_cast<std::uint8_t*>(memory_.map(window_ + offset, bytes));
}

void Server::run() {
  if (!engine_.try_lock()) return;  // another CPU of the domain is at it and looks again
  // Bounded: a guest that rings on from another CPU gets one more answer for each return to here.
  if (has_work() && host_.ready()) {
    const std::uint32_t sequence = rung_.exchange(0, std::memory_order_acq_rel);
    if (sequence != 0) answer(sequence);
  }
  engine_.unlock();
}

void Server::answer(std::uint32_t sequence) {
  // The guest may map the window uncached: what it wrote is in memory, not in our caches.
  memory_.make_observable(window_ + kRequestOffset, kRequestBytes);
  __builtin_memcpy(request_.data(), at(kRequestOffset, kRequestBytes), kRequestBytes);
  const auto header = read_as<RequestHeader>(request_);
  Reply reply({at(kResponseOffset, kResponseBytes) + sizeof(ResponseHeader),
               kResponseBytes - sizeof(ResponseHeader)});
  if (header.sequence != sequence) {
    reply.refuse(Result::kBadRequest, "the request carries another sequence number");
  } else if (header.bytes < sizeof(RequestHeader) || header.bytes > kRequestBytes ||
             header.reserved != 0) {
    reply.refuse(Result::kBadRequest, "the request's header is malformed");
  } else {
    dispatch(header.opcode,
             {request_.data() + sizeof(RequestHeader), header.bytes - sizeof(RequestHeader)},
             reply);
  }
  const ResponseHeader response{sequence, reply.result(),
                                static_cast<std::uint32_t>(sizeof(ResponseHeader) + reply.size()),
                                0};
  __builtin_memcpy(at(kResponseOffset, sizeof(response)), &response, sizeof(response));
  memory_.make_observable(window_ + kResponseOffset, response.bytes);
  finished_.store(sequence, std::memory_order_release);
}

void Server::dispatch(Opcode opcode, Arguments arguments, Reply& reply) {
  const auto index = static_cast<std::size_t>(opcode);
  if (index >= kShapes.size()) {
    return reply.refuse(Result::kUnknownOpcode, "this version knows no such operation");
  }
  if (!fits_shape(arguments.size(), kShapes[index])) {
    return reply.refuse(Result::kBadRequest, "the operation takes arguments of another size");
  }
  switch (opcode) {
    case Opcode::kHello: return host_.hello(reply);
    case Opcode::kListDomains: return host_.list_domains(reply);
    case Opcode::kListDevices: return host_.list_devices(reply);
    case Opcode::kAudit: return host_.audit(reply);
    case Opcode::kReport: return host_.report(reply);
    case Opcode::kBundleBegin:
    case Opcode::kBundleWrite:
    case Opcode::kBundleDrop:
    case Opcode::kCreate: return bundle(opcode, read_as<BundleArgument>(arguments), reply);
    case Opcode::kCounters:
    case Opcode::kStart:
    case Opcode::kPause:
    case Opcode::kUnpause:
    case Opcode::kShutdown:
    case Opcode::kDestroy: {
      const auto argument = read_as<DomainArgument>(arguments);
      if (argument.reserved != 0) break;
      if (opcode == Opcode::kCounters) return host_.counters(argument.domain, reply);
      return host_.change_domain(opcode, argument.domain, reply);
    }
    case Opcode::kAttach:
    case Opcode::kDetach:
    case Opcode::kReset:
    case Opcode::kHide:
    case Opcode::kUnhide: {
      const auto argument = read_as<DeviceArgument>(arguments);
      if (argument.reserved != 0 || !are_flags(opcode, argument.flags)) break;
      return host_.change_device(opcode, argument, reply);
    }
    case Opcode::kConsoleRead:
    case Opcode::kConsoleWrite:
    case Opcode::kLog:
      return console(opcode, read_as<ConsoleArgument>(arguments),
                     arguments.subspan(sizeof(ConsoleArgument)), reply);
  }
  reply.refuse(Result::kBadRequest, "a reserved field or an unknown flag is set");
}

void Server::bundle(Opcode opcode, const BundleArgument& argument, Reply& reply) {
  if (argument.reserved != 0) {
    return reply.refuse(Result::kBadRequest, "a reserved field is set");
  }
  if (opcode == Opcode::kBundleBegin) return host_.bundle_begin(argument.bytes, reply);
  if (opcode == Opcode::kBundleDrop) return host_.bundle_drop(argument.handle, reply);
  if (opcode == Opcode::kCreate) return host_.create(argument.handle, reply);
  if (argument.bytes > kDataBytes) {
    return reply.refuse(Result::kBadRequest, "more bytes than the data area has");
  }
  memory_.make_observable(window_ + kDataOffset, argument.bytes);
  host_.bundle_write(argument, {at(kDataOffset, argument.bytes), argument.bytes}, reply);
}

void Server::console(Opcode opcode, const ConsoleArgument& argument, Arguments text, Reply& reply) {
  const bool writes = opcode == Opcode::kConsoleWrite;
  if (writes ? argument.bytes != text.size() : argument.bytes != 0) {
    return reply.refuse(Result::kBadRequest, "the text has another length than the request says");
  }
  if (opcode == Opcode::kLog) return host_.log_read(argument.position, reply);
  if (!writes) return host_.console_read(argument, reply);
  host_.console_write(argument.domain, {reinterpret_cast<const char*>(text.data()), text.size()},
                      reply);
}

void Server::reset() {
  rung_.store(0, std::memory_order_release);
  finished_.store(0, std::memory_order_release);
  host_.abandoned();
}

}  // namespace penstock::control
