// Endpoint on libfabric: an endpoint, an address table and a completion queue of its own, in a domain of its
// own or one that all of the fabric share (domain.h), so that threads with an endpoint each meet in the
// provider at most. Its mechanisms, one a file:
//   endpoint.cpp   opening and closing, peers
//   memory.cpp     expose, attach, descriptors
//   transfers.cpp  reads and sends: splitting, queueing, retrying
//   receive.cpp    the receive buffers
//   progress.cpp   poll, wait, wake, completions, deadlines
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fabric/ofi/domain.h"
#include "fabric/ofi/handles.h"
#include "fabric/ofi/life_sign.h"
#include "fabric/ofi/refusal_probe.h"
#include "fabric/ofi/transfer.h"
#include "holdfast/base/file.h"
#include "holdfast/fabric/fabric.h"

namespace holdfast::fabric::ofi {

/// Read pieces and messages the provider holds at a time; the completion queue has room for all of them.
/// Quarantined ones are not counted: peers that hang must not stop reads from others (should all of those
/// end at once after all, libfabric keeps what the queue has no room for).
inline constexpr std::uint32_t kMaxPosted = 1024;
/// Of these, to one peer, quarantined ones included: what a peer that hangs can hold.
inline constexpr std::uint32_t kMaxPostedToPeer = 128;
static_assert(kMaxPostedToPeer <= kMaxPosted / 8, "one peer must not starve the others");
/// Operations that wait because the provider does not take them now. More complete with `full`.
inline constexpr std::uint32_t kMaxWaiting = 65536;
/// How long a wait sleeps at most before it looks around: bounds what a provider's lost event can cost.
inline constexpr Duration kLongestSleep = std::chrono::milliseconds(100);
/// When operations that the provider refused (-FI_EAGAIN) are offered again: after a sixteenth of the time
/// that they have waited, within these bounds. Quick while a connection is made, cheap with a dead address.
inline constexpr Duration kShortestRetry = std::chrono::microseconds(10);
inline constexpr Duration kLongestRetry = std::chrono::milliseconds(5);

/// How long a TCP peer may keep us waiting before its host is asked whether anybody listens there at all (a
/// first connection takes 0.4 ms, a busy peer some milliseconds), and how long until it is asked again.
inline constexpr Duration kProbeAfter = std::chrono::milliseconds(20);
inline constexpr Duration kProbeAgain = std::chrono::milliseconds(500);
/// The same over RDMA, where not the peer's own port is asked but one beside it: a firewall could refuse that
/// one only, so it is not asked while a connection may still be under way.
inline constexpr Duration kRdmaProbeAfter = std::chrono::milliseconds(500);

/// The copy of a message while it is being sent.
struct Message {
  std::uint32_t bytes = 0;
  void* descriptor = nullptr;
  std::byte* data = nullptr;  ///< kMaxMessageBytes, in one of the endpoint's slabs
};

struct Peer {
  fi_addr_t address = FI_ADDR_UNSPEC;
  List<Transfer> reads;      ///< waiting, in order
  List<Transfer> sends;      ///< waiting, in order
  std::uint32_t posted = 0;  ///< works with the provider
  bool active = false;       ///< in the endpoint's list of peers with something waiting
  TimePoint refused_since;   ///< when the provider began to refuse
  TimePoint retry_at;        ///< not offered again before
  RefusalProbe probe;
  TimePoint probe_at;
  std::vector<std::byte> probe_address;  ///< where its host can be asked for it; empty: nowhere
};

class OfiEndpoint final : public Endpoint {
 public:
  /// `info`, `described` and `clock`, and the fabric that `domain` is of, outlive the endpoint.
  static Result<std::unique_ptr<OfiEndpoint>> open(std::shared_ptr<Domain> domain, const fi_info& info,
                                                   const FabricInfo& described,
                                                   const EndpointOptions& options, const Clock& clock);
  ~OfiEndpoint() override;
  OfiEndpoint(const OfiEndpoint&) = delete;
  OfiEndpoint& operator=(const OfiEndpoint&) = delete;

  const Address& address() const noexcept override { return address_; }
  EndpointStats stats() const noexcept override { return stats_; }
  Result<RemoteMemory> expose(std::span<const std::byte> memory) override;
  Status attach(std::span<std::byte> memory) override;
  Result<PeerId> connect(std::span<const std::byte> address) override;
  void read(const ReadRequest& request, Completion& completion) override;
  void send(PeerId peer, std::span<const std::byte> message, Deadline deadline,
            Completion& completion) override;
  void set_receiver(std::function<void(std::span<const std::byte>)> receiver) override;
  std::size_t poll() override;
  std::size_t wait(Deadline until, Duration spin) override;
  void wake() noexcept override;

 private:
  OfiEndpoint(std::shared_ptr<Domain> domain, const fi_info& info, const FabricInfo& described,
              const Clock& clock)
      : info_(info), described_(described), clock_(clock), domain_(std::move(domain)) {}

  // endpoint.cpp
  Status open_objects(const EndpointOptions& options);
  Status open_queue(std::size_t entries);
  Status read_own_address();

  // memory.cpp
  Result<RegionHandle> register_memory(std::span<const std::byte> memory, std::uint64_t access,
                                       std::string_view operation);
  Result<std::shared_ptr<Region>> region_of(std::span<const std::byte> memory, std::uint64_t access,
                                            std::string_view operation);
  Result<void*> descriptor_of(std::span<const std::byte> memory) const;

  // transfers.cpp
  Transfer& start(std::uint32_t peer, Deadline deadline, Completion& completion);
  void refuse(Transfer& transfer, Error error);
  void go_on(Transfer& transfer);
  bool post_read(Transfer& transfer);
  ssize_t post_piece(Transfer& transfer, std::uint64_t bytes, Work& work);
  ssize_t post_gather(Transfer& transfer, Work& work);
  bool post_send(Transfer& transfer);
  void offer_waiting();
  bool offer_queue(List<Transfer>& queue);
  void give_up_if_refused(Peer& peer, TimePoint now);
  Duration probe_after() const noexcept { return described_.rdma ? kRdmaProbeAfter : kProbeAfter; }
  void enter_queue(Transfer& transfer);
  void leave_queue(Transfer& transfer);
  List<Transfer>& queue_of(Transfer& transfer);
  bool room_for(const Peer& peer) const noexcept;
  Work& take_work(Transfer& transfer, Work::Kind kind);
  Result<Message*> take_message(std::span<const std::byte> bytes);

  // receive.cpp
  Status open_receives(std::uint32_t depth);
  void post_receives();
  void received(std::uint32_t slot, std::size_t bytes);

  // progress.cpp
  void drain_queue();
  void take_in_arrivals();
  bool read_error();
  void ended(Work& work, std::size_t bytes, const Error* error);
  void settle(Transfer& transfer);
  bool all_posted(const Transfer& transfer) const noexcept;
  void finish(Transfer& transfer);
  void complete(Transfer& transfer);
  void release(Transfer& transfer);
  std::size_t poll(TimePoint now);
  void expire(TimePoint now);
  void complete_finished();
  bool take_wake() noexcept;
  void drain_wake_event() noexcept;
  void clear_stale_signal();
  void sleep(TimePoint until);
  TimePoint next_own_event(TimePoint until) const noexcept;

  const fi_info& info_;
  const FabricInfo& described_;
  const Clock& clock_;

  // In order of opening; closed in the reverse, except that the endpoint goes first (see the destructor).
  std::shared_ptr<Domain> domain_;
  File wake_event_;
  QueueHandle queue_;
  AddressesHandle addresses_;
  EndpointHandle endpoint_;
  int stale_sleeps_ = 0;
  std::optional<fi_cq_msg_entry> early_entry_;  ///< read while a signal was cleared
  int queue_fd_ = -1;  ///< becomes readable when the provider has something to do; -1: it has none
  Address address_;
  LifeSign life_sign_;  ///< over RDMA

  std::vector<std::shared_ptr<Region>> exposed_;
  std::map<const std::byte*, std::shared_ptr<Region>> attached_;  ///< by first byte

  std::vector<Peer> peers_;
  std::map<std::string, std::uint32_t, std::less<>> peer_of_address_;
  std::vector<std::uint32_t> active_peers_;  ///< peers with waiting transfers

  Pool<Work> works_;
  Pool<Transfer> transfers_;
  Pool<Message> messages_;
  std::vector<std::unique_ptr<std::byte[]>> message_slabs_;
  std::vector<RegionHandle> message_regions_;
  List<Transfer> finished_;
  DeadlineHeap<Transfer> deadlines_;
  std::uint32_t posted_ = 0;   ///< works with the provider, receives not counted
  std::uint32_t waiting_ = 0;  ///< transfers in peers' queues

  std::unique_ptr<std::byte[]> receive_buffers_;
  RegionHandle receive_region_;
  std::vector<Work> receive_works_;
  std::vector<std::uint32_t> unposted_receives_;
  std::function<void(std::span<const std::byte>)> receiver_;

  EndpointStats stats_;
  std::size_t events_ = 0;  ///< what the poll under way has to report
  bool polling_ = false;
  bool closing_ = false;
  std::atomic<bool> woken_{false};
};

}  // namespace holdfast::fabric::ofi
