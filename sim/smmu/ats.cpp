// ATS on both sides: the SMMU's (IHI 0070, 3.9, 4.5; STE.EATS in 5.2) and a device's.
#include "sim/smmu/ats.hpp"

#include "sim/smmu/layout.hpp"

namespace penstock::sim {

using namespace layout;

namespace {

constexpr unsigned kAtsFull = 1;   // STE.EATS
constexpr unsigned kAtsSplit = 2;  // translated addresses are IPAs and go through stage 2
constexpr unsigned kEverything = 52;

/// Faults that the reply tells the device by giving no permission; the rest aborts the request.
bool is_a_missing_translation(std::uint8_t type) {
  return type == kTranslation || type == kAddressSize || type == kAccess || type == kPermission;
}

}  // namespace

void Smmu::attach_atc(std::uint32_t stream, Atc* atc) {
  if (atc != nullptr) {
    atcs_[stream] = atc;
  } else {
    atcs_.erase(stream);
  }
}

Smmu::AtsReply Smmu::translation_request(std::uint32_t stream, std::uint64_t iova,
                                         std::optional<std::uint32_t> substream) {
  using Status = AtsReply::Status;
  if (substream_bits() == 0) substream.reset();
  const Access access{stream, iova, false, substream};
  AtsReply reply;
  if (!enabled() || !has(10)) return reply;
  const auto refuse = [&](const Failure& failure, bool merge, Status status) {
    reply.status = status;
    reply.event = fault(access, failure, merge).event;
    return reply;
  };
  const auto config = configuration(stream);
  if (!config.value) return refuse(config.failure, false, Status::kCompleterAbort);
  const bool merge = config.value->merge;
  const bool checked = ((cr0_ >> 4) & 1) != 0;
  const bool granted =
      (config.value->stage1 || config.value->stage2) &&
      (config.value->ats == kAtsFull || (config.value->ats == kAtsSplit && checked));
  if (!granted) return refuse({.type = kBadAtsRequest}, merge, Status::kUnsupportedRequest);
  auto resolved = resolve(access, *config.value);
  if (!resolved.value) return refuse(resolved.failure, merge, Status::kCompleterAbort);
  const bool split = config.value->ats == kAtsSplit;
  const auto found = look_up(access, *resolved.value);
  if (!found.value && !is_a_missing_translation(found.failure.type)) {
    return refuse(found.failure, merge, Status::kCompleterAbort);
  }
  reply.status = Status::kSuccess;
  if (!found.value) return reply;  // no event either: the device asks for the page, or gives up
  const Entry& entry = *found.value;
  reply.page = split ? entry.ipa : entry.pa;
  reply.readable = entry.s1_read && (split || entry.s2_read);
  reply.writable = entry.s1_write && (split || entry.s2_write);
  return reply;
}

Smmu::Outcome Smmu::translated_access(std::uint32_t stream, std::uint64_t address, bool is_write) {
  const Access access{stream, address, is_write, std::nullopt};
  if (!enabled()) return {};
  if (!has(10)) return fault(access, {.type = kTranslatedForbidden}, false);
  if (((cr0_ >> 4) & 1) == 0) return {.ok = true, .pa = address};  // ATSCHK = 0: believed
  return check_translated(access);
}

Smmu::Outcome Smmu::check_translated(const Access& access) {
  const auto config = configuration(access.stream);
  if (!config.value) return fault(access, config.failure, false);
  const bool translates = config.value->stage1 || config.value->stage2;
  if (!translates || (config.value->ats != kAtsFull && config.value->ats != kAtsSplit)) {
    return fault(access, {.type = kTranslatedForbidden}, config.value->merge);
  }
  if (config.value->ats == kAtsFull) return {.ok = true, .pa = access.iova};
  const auto second = stage2(*config.value, access.iova, 2);
  if (!second.value) return fault(access, second.failure, config.value->merge);
  if (access.is_write ? !second.value->writable : !second.value->readable) {
    return fault(access, {kPermission, true, 2, access.iova, 0, config.value->record_stage2},
                 config.value->merge);
  }
  return {.ok = true, .pa = second.value->pa, .device_memory = second.value->device_memory};
}

/// CMD_ATC_INV. A device that does not answer is found out at the next CMD_SYNC (7.1).
unsigned Smmu::invalidate_atc(const Command& command) {
  if (!has(10)) return kErrorIllegal;
  const auto size_log2 = static_cast<unsigned>(bits(command[1], 5, 0));
  const std::uint64_t start = command[1] & ~(kPage - 1);
  if (size_log2 < kEverything && (start & ((kPage << size_log2) - 1)) != 0) {
    misuse("ATC_INV: address is not aligned to its size");
  }
  const auto found = atcs_.find(static_cast<std::uint32_t>(command[0] >> 32));
  if (found == atcs_.end()) return kNoError;
  if (!found->second->answers()) {
    atc_timed_out_ = true;
    return kNoError;
  }
  std::optional<std::uint32_t> substream;
  if (bits(command[0], 11, 11) != 0 && substream_bits() != 0) {
    substream = static_cast<std::uint32_t>(bits(command[0], 31, 12));
  }
  const bool any_substream = substream && bits(command[0], 9, 9) != 0;
  pending_.push_back([=, this, stream = found->first] {
    const auto atc = atcs_.find(stream);
    if (atc != atcs_.end()) atc->second->invalidate(substream, any_substream, start, size_log2);
  });
  return kNoError;
}

Atc::Atc(Smmu& smmu, std::uint32_t stream) : smmu_(smmu), stream_(stream) {
  smmu_.attach_atc(stream_, this);
}

Atc::~Atc() {
  smmu_.attach_atc(stream_, nullptr);
}

Smmu::Outcome Atc::access(std::uint64_t iova, bool is_write,
                          std::optional<std::uint32_t> substream) {
  const Key key{substream, iova & ~(kPage - 1)};
  const auto allows = [is_write](const Entry& entry) {
    return is_write ? entry.writable : entry.readable;
  };
  auto found = entries_.find(key);
  if (found == entries_.end() || !allows(found->second)) {
    const Smmu::AtsReply reply = smmu_.translation_request(stream_, iova, substream);
    const Entry entry{reply.page, reply.readable, reply.writable};
    if (reply.status != Smmu::AtsReply::Status::kSuccess || !allows(entry)) {
      return {.event = reply.event};
    }
    found = entries_.insert_or_assign(key, entry).first;
  }
  return smmu_.translated_access(stream_, found->second.page | (iova & (kPage - 1)), is_write);
}

void Atc::invalidate(std::optional<std::uint32_t> substream, bool any_substream,
                     std::uint64_t start, unsigned size_log2) {
  std::erase_if(entries_, [&](const auto& item) {
    const auto& [owner, page] = item.first;
    const bool meant = any_substream ? owner.has_value() : owner == substream;
    return meant && (size_log2 >= kEverything || page - start < kPage << size_log2);
  });
}

}  // namespace penstock::sim
