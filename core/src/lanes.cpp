#include "src/lanes.h"

#include "src/thread_index.h"

namespace holdfast {

fabric::EndpointStats Lane::stats(std::uint64_t& sent, std::uint64_t& received) {
  const Access access(*this);
  sent = channel_.messages_sent();
  received = channel_.messages_received();
  return channel_.endpoint().stats();
}

bool Lane::drive_abandoned() {
  if (abandoned_.load(std::memory_order_relaxed) == 0) return false;
  // Whoever has it drives it.
  if (const std::unique_lock lock(mutex_, std::try_to_lock); lock)
    channel_.drive(Deadline::at(TimePoint::min()), {});
  return abandoned_.load(std::memory_order_relaxed) != 0;
}

bool Lanes::drive_abandoned() {
  bool left = false;
  for_each([&left](Lane& lane) { left = lane.drive_abandoned() || left; });
  return left;
}

Lanes::Lanes(fabric::Fabric& fabric, const Clock& clock, Sender sender, std::uint32_t most,
             std::vector<std::span<std::byte>> memory)
    : fabric_(fabric), clock_(clock), sender_(sender), memory_(std::move(memory)), lanes_(most) {}

Result<Lane*> Lanes::mine() {
  std::atomic<Lane*>& place = lanes_[thread_index() % lanes_.size()];
  if (Lane* const lane = place.load(std::memory_order_acquire)) return lane;
  const std::lock_guard lock(open_mutex_);
  if (Lane* const lane = place.load(std::memory_order_acquire)) return lane;
  HOLDFAST_TRY(auto endpoint, fabric_.open({}));
  for (const auto& segment : memory_) HOLDFAST_DO(endpoint->attach(segment));
  owned_.push_back(std::make_unique<Lane>(std::move(endpoint), clock_, sender_));
  place.store(owned_.back().get(), std::memory_order_release);
  return owned_.back().get();
}

}  // namespace holdfast
