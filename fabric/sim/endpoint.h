// Endpoint on the simulated network. Its mechanisms, one a file:
//   endpoint.cpp   opening and closing, memory, peers
//   transfers.cpp  reads and sends: queueing, posting, ending
//   progress.cpp   poll, wait, wake, being called when there is something to do
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "fabric/sim/flight.h"

namespace holdfast::sim {

class NetworkCore;

struct Peer {
  std::uint64_t address = 0;
  std::shared_ptr<Connection> connection;  ///< null: none is there or being made
  List<Transfer> reads;                    ///< waiting, in order
  List<Transfer> sends;                    ///< waiting, in order
  std::uint32_t posted = 0;
};

class SimEndpoint final : public fabric::Endpoint {
 public:
  SimEndpoint(NetworkCore& core, ProcessId process, Serial serial, std::uint64_t address,
              const fabric::EndpointOptions& options);
  ~SimEndpoint() override;
  SimEndpoint(const SimEndpoint&) = delete;
  SimEndpoint& operator=(const SimEndpoint&) = delete;

  const fabric::Address& address() const noexcept override { return address_bytes_; }
  fabric::EndpointStats stats() const noexcept override { return stats_; }
  Result<RemoteMemory> expose(std::span<const std::byte> memory) override;
  Status attach(std::span<std::byte> memory) override;
  Result<fabric::PeerId> connect(std::span<const std::byte> address) override;
  void read(const fabric::ReadRequest& request, Completion& completion) override;
  void send(fabric::PeerId peer, std::span<const std::byte> message, Deadline deadline,
            Completion& completion) override;
  void set_receiver(std::function<void(std::span<const std::byte>)> receiver) override;
  std::size_t poll() override;
  std::size_t wait(Deadline until, Duration spin) override;
  void wake() noexcept override;

  // For the network.
  ProcessId process() const noexcept { return process_; }
  Serial serial() const noexcept { return serial_; }
  std::uint64_t raw_address() const noexcept { return address_; }
  void set_on_ready(std::function<void()> on_ready);
  /// Where there is something to do: has on_ready called, unless that is coming already.
  void arm();
  void arm_if_work();
  /// The bytes of a readable range; none where key or range are wrong, with the code that says which.
  tl::expected<std::span<const std::byte>, Code> exposed(const RemoteMemory& claimed, std::uint64_t offset,
                                                         std::uint64_t bytes) const;
  std::vector<Peer>& peers() noexcept { return peers_; }
  /// An operation of `transfer` has ended, or was lost (`error`).
  void operation_ended(Transfer& transfer, std::optional<Error> error);
  void message_left(Transfer& transfer);
  /// Posts what waits for the peer, or connects to it.
  void pump(std::uint32_t peer);
  /// Nobody can be reached: what waits for the peer ends.
  void fail_waiting(std::uint32_t peer, const std::string& why);
  void connection_lost(std::uint32_t peer);
  void credit(std::uint32_t peer) { --peers_[peer].posted; }
  /// The process has crashed: nothing moves any more.
  void vanish();
  void deliver(std::vector<std::byte> message) {
    arrived_.push_back(std::move(message));
    arm();
  }
  Place& requests() noexcept { return requests_; }
  Place& stalled() noexcept { return stalled_; }
  bool has_slot() const noexcept { return slots_used_ < receive_depth_; }
  void take_slot() noexcept { ++slots_used_; }
  void give_back_slot() noexcept { --slots_used_; }
  std::vector<std::shared_ptr<Connection>>& incoming() noexcept { return incoming_; }
  TimePoint computes_until;  ///< its thread, where that has a core or takes one of the counted

 private:
  // transfers.cpp
  Transfer& start(std::uint32_t peer, Deadline deadline, Completion& completion, bool is_read);
  void refuse(Transfer& transfer, Code code, std::string why);
  void enter(Transfer& transfer);
  bool post(Transfer& transfer);
  void leave_queue(Transfer& transfer);
  List<Transfer>& queue_of(Transfer& transfer);
  void expire(Transfer& transfer);
  void settle(Transfer& transfer);
  void tell(Transfer& transfer);
  void release(Transfer& transfer);
  // progress.cpp
  bool has_work() const noexcept;
  bool runs() const;
  void become_ready();
  void serve_requests();
  void tell_one(Outcome& outcome);
  std::size_t tell_finished();
  std::size_t receive();
  bool take_wake() noexcept { return std::exchange(woken_, false); }
  void set_alarm(Deadline until);

  NetworkCore& core_;
  ProcessId process_;
  Serial serial_;
  std::uint64_t address_;
  fabric::Address address_bytes_;
  std::uint32_t receive_depth_;
  bool alive_ = true;
  bool polling_ = false;
  bool closing_ = false;
  bool woken_ = false;
  bool alarm_due_ = false;

  std::map<std::uint64_t, std::span<const std::byte>> exposed_;  ///< by key
  std::vector<Peer> peers_;
  std::unordered_map<std::uint64_t, std::uint32_t> peer_of_address_;  ///< looked up only
  List<Transfer, &Transfer::own_links> transfers_;
  std::uint32_t waiting_ = 0;  ///< transfers in peers' queues
  std::vector<Outcome> finished_;

  Place requests_;  ///< at this endpoint, to be served by its process (one_sided_needs_target)
  Place stalled_;   ///< messages that find no room
  std::uint32_t slots_used_ = 0;
  std::vector<std::vector<std::byte>> arrived_;
  std::function<void(std::span<const std::byte>)> receiver_;
  std::vector<std::shared_ptr<Connection>> incoming_;

  std::shared_ptr<std::function<void()>> on_ready_;  ///< shared with the call under way
  EventId ready_event_;
  EventId alarm_;
  fabric::EndpointStats stats_;
};

}  // namespace holdfast::sim
