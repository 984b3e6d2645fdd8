// What an SMMUv3 that a guest sees needs of the one that it stands for. Implemented above (assign):
// guest side and host side do not know each other.
#pragma once

#include <span>

#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/hw/smmuv3/commands.hpp"
#include "core/hw/smmuv3/stream_table.hpp"

namespace penstock::viommu {

class Stage1Host {
 public:
  static constexpr std::size_t kMaxBatch = 64;

  /// Makes stage 1 of a stream what `wanted` says and forgets what was cached of its configuration;
  /// complete when it returns. kBusy: nothing was done, come again; kNotFound: the stream was cut
  /// off, and stays so until it is detached; any other error: the stream aborts.
  virtual Status configure(StreamId stream, const hw::smmuv3::Stage1& wanted) = 0;

  /// Executes at most kMaxBatch of TLBI_NH_*, CFGI_CD and CFGI_CD_ALL, streams physical, for this
  /// guest's own translations only, whatever VMID they carry; complete when it returns. May change
  /// the batch. kBusy: nothing was done, come again; kNotOwner (arg: stream): nothing was done,
  /// that stream was cut off.
  virtual Status forward(std::span<hw::smmuv3::Command> batch) = 0;

 protected:
  ~Stage1Host() = default;
};

}  // namespace penstock::viommu
