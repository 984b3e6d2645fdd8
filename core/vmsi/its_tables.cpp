#include "core/vmsi/its_tables.hpp"

namespace penstock::vmsi {

unsigned ItsTables::lower_bound(std::uint32_t id) const {
  unsigned low = 0;
  unsigned high = device_count_;
  while (low < high) {
    const unsigned middle = (low + high) / 2;
    if (devices_[order_[middle]].id < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

std::optional<unsigned> ItsTables::find(GuestDeviceId device) const {
  const unsigned position = lower_bound(device.value());
  if (position == device_count_ || devices_[order_[position]].id != device.value()) {
    return std::nullopt;
  }
  return position;
}

Status ItsTables::add_device(GuestDeviceId device, unsigned event_bits) {
  if (event_bits < 1 || event_bits > kEventIdBits) return fail(Code::kOutOfRange, event_bits);
  const unsigned position = lower_bound(device.value());
  if (position < device_count_ && devices_[order_[position]].id == device.value()) {
    return fail(Code::kAlreadyExists, device.value());
  }
  if (device_count_ == max_devices_) return fail(Code::kTableFull, max_devices_);
  std::uint8_t slot = 0;
  while (devices_[slot].mapped) ++slot;
  devices_[slot] = {device.value(), static_cast<std::uint8_t>(event_bits), true};
  for (unsigned i = device_count_; i > position; --i) order_[i] = order_[i - 1];
  order_[position] = slot;
  ++device_count_;
  return {};
}

void ItsTables::remove_device(GuestDeviceId device) {
  const std::optional<unsigned> position = find(device);
  if (!position) return;
  const std::uint8_t slot = order_[*position];
  for (std::uint16_t& number : chunks_of_[slot]) {
    if (number == 0) continue;
    event_count_ -= mapped_in_[number - 1];
    mapped_in_[number - 1] = 0;
    chunks_[number - 1] = {};
    number = 0;
  }
  devices_[slot] = {};
  --device_count_;
  for (unsigned i = *position; i < device_count_; ++i) order_[i] = order_[i + 1];
}

std::optional<unsigned> ItsTables::slot_with_room(GuestDeviceId device, GuestEventId event) const {
  const std::optional<unsigned> position = find(device);
  if (!position) return std::nullopt;
  const unsigned slot = order_[*position];
  if (event.value() >> devices_[slot].event_bits != 0) return std::nullopt;
  return slot;
}

bool ItsTables::has_room_for(GuestDeviceId device, GuestEventId event) const {
  return slot_with_room(device, event).has_value();
}

std::uint16_t ItsTables::take_chunk() {
  for (std::uint16_t i = 0; i < kChunks; ++i) {
    if (mapped_in_[i] == 0) return static_cast<std::uint16_t>(i + 1);
  }
  return 0;
}

Status ItsTables::add_event(GuestDeviceId device, GuestEventId event, Event value) {
  const std::optional<unsigned> slot = slot_with_room(device, event);
  if (!slot) return fail(Code::kNotFound, event.value());
  if (event_count_ == max_events_) return fail(Code::kTableFull, max_events_);
  std::uint16_t& number = chunks_of_[*slot][event.value() / kChunkEvents];
  if (number == 0) {
    number = take_chunk();
    if (number == 0) return fail(Code::kTableFull, kChunks);
  }
  Event& place = chunks_[number - 1][event.value() % kChunkEvents];
  if (place.lpi != 0) return fail(Code::kAlreadyExists, event.value());
  place = value;
  ++mapped_in_[number - 1];
  ++event_count_;
  return {};
}

ItsTables::Event* ItsTables::mapped_event(GuestDeviceId device, GuestEventId event) {
  const std::optional<unsigned> slot = slot_with_room(device, event);
  if (!slot) return nullptr;
  const std::uint16_t number = chunk_number(*slot, event);
  if (number == 0) return nullptr;
  Event& place = chunks_[number - 1][event.value() % kChunkEvents];
  return place.lpi != 0 ? &place : nullptr;
}

void ItsTables::remove_event(GuestDeviceId device, GuestEventId event) {
  Event* place = mapped_event(device, event);
  if (place == nullptr) return;
  *place = {};
  --event_count_;
  std::uint16_t& number = chunks_of_[*slot_with_room(device, event)][event.value() / kChunkEvents];
  if (--mapped_in_[number - 1] == 0) number = 0;
}

void ItsTables::move_event(GuestDeviceId device, GuestEventId event, std::uint8_t collection) {
  if (Event* place = mapped_event(device, event)) place->collection = collection;
}

std::optional<ItsTables::Event> ItsTables::event(GuestDeviceId device, GuestEventId event) const {
  const std::optional<unsigned> slot = slot_with_room(device, event);
  if (!slot) return std::nullopt;
  const std::uint16_t number = chunk_number(*slot, event);
  if (number == 0) return std::nullopt;
  const Event e = chunks_[number - 1][event.value() % kChunkEvents];
  if (e.lpi == 0) return std::nullopt;
  return e;
}

void ItsTables::clear() {
  const unsigned devices = max_devices_;
  const unsigned events = max_events_;
  while (device_count_ != 0) remove_device(GuestDeviceId(devices_[order_[0]].id));
  collections = {};
  configure(devices, events);
}

}  // namespace penstock::vmsi
