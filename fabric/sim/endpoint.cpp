#include "fabric/sim/endpoint.h"

#include <fmt/format.h>

#include <utility>

#include "fabric/sim/address.h"
#include "fabric/sim/network_core.h"

namespace holdfast::sim {

SimEndpoint::SimEndpoint(NetworkCore& core, ProcessId process, Serial serial, std::uint64_t address,
                         const fabric::EndpointOptions& options)
    : core_(core),
      process_(process),
      serial_(serial),
      address_(address),
      address_bytes_(wrap_address(address)),
      receive_depth_(options.receive_depth) {}

SimEndpoint::~SimEndpoint() {
  closing_ = true;
  core_.timeline().cancel(ready_event_);
  core_.timeline().cancel(alarm_);
  if (alive_) core_.endpoint_gone(*this);  // from here on nothing writes or reads any buffer
  alive_ = false;
  for (Outcome& outcome : std::exchange(finished_, {})) tell_one(outcome);
  while (Transfer* transfer = transfers_.first()) {
    Completion* completion = std::exchange(transfer->completion, nullptr);
    const bool is_read = transfer->is_read;
    const std::shared_ptr<void> hold = transfer->hold;
    release(*transfer);
    if (completion != nullptr)
      completion->complete(
          tl::unexpected(Error{Code::timed_out, is_read ? "Endpoint::read" : "Endpoint::send",
                               "the endpoint was closed before the operation ended"}));
  }
  core_.endpoint_destroyed();
}

void SimEndpoint::vanish() {
  alive_ = false;
  core_.timeline().cancel(ready_event_);
  core_.timeline().cancel(alarm_);
  for (Transfer* transfer = transfers_.first(); transfer != nullptr; transfer = transfer->own_links.next)
    core_.timeline().cancel(transfer->deadline_event);
  core_.endpoint_gone(*this);
}

Result<RemoteMemory> SimEndpoint::expose(std::span<const std::byte> memory) {
  if (memory.empty()) return fail(Code::invalid, "Endpoint::expose", "there is nothing to expose in 0 bytes");
  std::uint64_t key = 0;
  do key = core_.new_key();
  while (key == 0 || exposed_.contains(key));
  exposed_.emplace(key, memory);
  return RemoteMemory{.base = 0, .key = key, .bytes = memory.size()};
}

Status SimEndpoint::attach(std::span<std::byte>) { return {}; }

tl::expected<std::span<const std::byte>, Code> SimEndpoint::exposed(const RemoteMemory& claimed,
                                                                    std::uint64_t offset,
                                                                    std::uint64_t bytes) const {
  const auto memory = exposed_.find(claimed.key);
  if (memory == exposed_.end()) return tl::unexpected(Code::denied);
  const std::uint64_t size = memory->second.size();
  if (claimed.base != 0 || offset > size || bytes > size - offset) return tl::unexpected(Code::invalid);
  return memory->second.subspan(offset, bytes);
}

Result<fabric::PeerId> SimEndpoint::connect(std::span<const std::byte> address) {
  constexpr std::string_view kConnect = "Endpoint::connect";
  const auto raw = unwrap_address(address);
  if (!raw)
    return fail(Code::invalid, kConnect,
                fmt::format("{} bytes that are no address of a simulated network", address.size()));
  if (!core_.has_process(ProcessId{static_cast<std::uint32_t>(*raw >> 32)}))
    return fail(Code::invalid, kConnect, fmt::format("this network has no process {}", *raw >> 32));
  const auto [known, added] = peer_of_address_.try_emplace(*raw, static_cast<std::uint32_t>(peers_.size()));
  if (added) peers_.emplace_back().address = *raw;
  return fabric::PeerId{known->second};
}

void SimEndpoint::connection_lost(std::uint32_t peer) {
  peers_[peer].connection.reset();
  peers_[peer].posted = 0;
}

void SimEndpoint::set_receiver(std::function<void(std::span<const std::byte>)> receiver) {
  receiver_ = std::move(receiver);
}

void SimEndpoint::set_on_ready(std::function<void()> on_ready) {
  on_ready_ = on_ready ? std::make_shared<std::function<void()>>(std::move(on_ready)) : nullptr;
  arm_if_work();
}

}  // namespace holdfast::sim
