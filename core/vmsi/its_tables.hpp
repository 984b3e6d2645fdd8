// Who gets which message, as the virtual ITS remembers it: devices, the events of each,
// collections. Fixed pools; finding costs one binary search among the mapped devices and two array
// look-ups. Plain state without a lock of its own.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/vmsi/limits.hpp"

namespace penstock::vmsi {

class ItsTables {
 public:
  struct Event {
    std::uint16_t lpi = 0;  // INTID, 8192..; 0: not mapped
    std::uint8_t collection = 0;
  };

  void configure(unsigned max_devices, unsigned max_events) {
    max_devices_ = max_devices;
    max_events_ = max_events;
  }

  /// Maps `device` with 2^event_bits events (1..kEventIdBits), none of them mapped. kTableFull when
  /// the devices' quota is used up, kAlreadyExists when it is mapped.
  Status add_device(GuestDeviceId device, unsigned event_bits);
  /// Unmaps `device` and its events, if it is mapped.
  void remove_device(GuestDeviceId device);
  [[nodiscard]] bool has_device(GuestDeviceId device) const { return find(device).has_value(); }
  /// `event` is within the size that `device` was mapped with.
  [[nodiscard]] bool has_room_for(GuestDeviceId device, GuestEventId event) const;

  /// Maps an event that has_room_for(). kAlreadyExists when it is mapped, kTableFull when the
  /// events' quota is used up, kNotFound without room.
  Status add_event(GuestDeviceId device, GuestEventId event, Event value);
  void remove_event(GuestDeviceId device, GuestEventId event);
  void move_event(GuestDeviceId device, GuestEventId event, std::uint8_t collection);
  [[nodiscard]] std::optional<Event> event(GuestDeviceId device, GuestEventId event) const;

  /// Calls visit(GuestEventId, Event) for each mapped event of `device`.
  template <typename Visit>
  void for_each_event(GuestDeviceId device, Visit visit) const {
    const std::optional<unsigned> position = find(device);
    if (!position) return;
    const std::uint8_t slot = order_[*position];
    for (unsigned chunk = 0; chunk < kChunksPerDevice; ++chunk) {
      const std::uint16_t number = chunks_of_[slot][chunk];
      if (number == 0) continue;
      visit_chunk(number, chunk, visit);
    }
  }
  /// Calls visit(Event) for each mapped event of the domain.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (unsigned number = 1; number <= kChunks; ++number) {
      if (mapped_in_[number - 1] == 0) continue;
      visit_chunk(number, 0, [&](GuestEventId, Event e) { visit(e); });
    }
  }

  [[nodiscard]] unsigned devices() const { return device_count_; }
  [[nodiscard]] unsigned events() const { return event_count_; }

  /// Collections: which redistributor each goes to.
  std::array<std::optional<VcpuIndex>, 1U << kCollectionIdBits> collections{};

  void clear();

 private:
  // Events come in chunks of 16 so that a sparsely used device does not cost its whole size. A
  // device that uses one event of each chunk exhausts the pool at kChunks events: its own domain's
  // quota, and no driver does that.
  static constexpr unsigned kChunkEvents = 16;
  static constexpr unsigned kChunksPerDevice = (1U << kEventIdBits) / kChunkEvents;
  static constexpr unsigned kChunks = kMaxItsEvents / kChunkEvents + 2 * kMaxItsDevices;
  using Chunk = std::array<Event, kChunkEvents>;
  struct Device {
    std::uint32_t id = 0;
    std::uint8_t event_bits = 0;
    bool mapped = false;
  };

  template <typename Visit>
  void visit_chunk(unsigned number, unsigned chunk, Visit visit) const {
    for (unsigned i = 0; i < kChunkEvents; ++i) {
      const Event e = chunks_[number - 1][i];
      if (e.lpi != 0) visit(GuestEventId(chunk * kChunkEvents + i), e);
    }
  }
  /// Position of `device` in the sorted order, or none.
  [[nodiscard]] std::optional<unsigned> find(GuestDeviceId device) const;
  [[nodiscard]] unsigned lower_bound(std::uint32_t id) const;
  /// The chunk number (from 1) that holds `event`, 0 if it has none; the device must be mapped.
  [[nodiscard]] std::uint16_t chunk_number(unsigned slot, GuestEventId event) const {
    return chunks_of_[slot][event.value() / kChunkEvents];
  }
  [[nodiscard]] std::optional<unsigned> slot_with_room(GuestDeviceId device,
                                                       GuestEventId event) const;
  [[nodiscard]] Event* mapped_event(GuestDeviceId device, GuestEventId event);
  [[nodiscard]] std::uint16_t take_chunk();

  unsigned max_devices_ = kMaxItsDevices;
  unsigned max_events_ = kMaxItsEvents;
  unsigned device_count_ = 0;
  unsigned event_count_ = 0;
  std::array<std::uint8_t, kMaxItsDevices> order_{};  // slots by ascending DeviceID
  std::array<Device, kMaxItsDevices> devices_{};
  std::array<std::array<std::uint16_t, kChunksPerDevice>, kMaxItsDevices> chunks_of_{};
  std::array<Chunk, kChunks> chunks_{};
  std::array<std::uint8_t, kChunks> mapped_in_{};  // events mapped in each chunk; 0: free
};

}  // namespace penstock::vmsi
