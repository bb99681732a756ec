// The endpoints that application threads read through: a channel each, driven by the thread that waits.
// Threads have lanes of their own until there are as many as options allow, then share.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "holdfast/fabric/fabric.h"
#include "src/channel.h"

namespace holdfast {

class Lane {
 public:
  Lane(std::unique_ptr<fabric::Endpoint> endpoint, const Clock& clock, Sender sender)
      : channel_(std::move(endpoint), clock, sender) {}

  /// Calls `work(channel)` with the lane to itself.
  template <class Work>
  void run(Work&& work) {
    const Access access(*this);
    work(channel_);
  }

  /// Drives the channel until `done()`, which is called with the lane held, or `until` has passed. `transfer`
  /// is how long the thing waited for should take: the thread spins so long before it sleeps.
  template <class Done>
  void drive(Done&& done, Deadline until, Duration transfer) {
    for (;;) {
      {
        const Access access(*this);
        if (done()) return;
        channel_.drive(until, transfer);
        if (done() || until.passed(channel_.clock())) return;
      }
      // Others may be waiting to start something; a mutex alone would let this thread take it again at once.
      while (wanted_.load(std::memory_order_seq_cst) != 0) std::this_thread::yield();
    }
  }

  /// An operation goes on though nobody waits for it any more, and when it has ended. With the lane held.
  void abandoned() noexcept { abandoned_.fetch_add(1, std::memory_order_relaxed); }
  void abandoned_ended() noexcept { abandoned_.fetch_sub(1, std::memory_order_relaxed); }
  /// Moves the lane if it carries such operations and nobody else moves it; true if some are left.
  bool drive_abandoned();

  /// What its endpoint counted; waits for its turn.
  fabric::EndpointStats stats(std::uint64_t& sent, std::uint64_t& received);

 private:
  /// The lock, and before it a word to the thread that sleeps with it.
  class Access {
   public:
    explicit Access(Lane& lane) : lane_(lane) {
      if (lane_.mutex_.try_lock()) return;
      // Whoever drives lets go after each wait and stays away while somebody wants the lane; the wake-up
      // makes his present wait, or his next one, the last.
      lane_.wanted_.fetch_add(1, std::memory_order_seq_cst);
      lane_.channel_.wake();
      lane_.mutex_.lock();
      lane_.wanted_.fetch_sub(1, std::memory_order_seq_cst);
    }
    ~Access() { lane_.mutex_.unlock(); }
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;

   private:
    Lane& lane_;
  };

  std::mutex mutex_;
  std::atomic<int> wanted_{0};
  std::atomic<int> abandoned_{0};
  Channel channel_;
};

class Lanes {
 public:
  /// At most `most` lanes, opened when they are first needed. `memory` is attached to each.
  Lanes(fabric::Fabric& fabric, const Clock& clock, Sender sender, std::uint32_t most,
        std::vector<std::span<std::byte>> memory);

  /// The calling thread's lane. Errors: as Fabric::open and Endpoint::attach.
  Result<Lane*> mine();

  /// Moves all lanes with operations that nobody waits for; true if some are left. Any thread.
  bool drive_abandoned();

  /// Calls `look(lane)` for each that is open.
  template <class Look>
  void for_each(Look&& look) {
    for (auto& place : lanes_)
      if (Lane* const lane = place.load(std::memory_order_acquire)) look(*lane);
  }

 private:
  fabric::Fabric& fabric_;
  const Clock& clock_;
  Sender sender_;
  std::vector<std::span<std::byte>> memory_;
  std::vector<std::atomic<Lane*>> lanes_;
  std::mutex open_mutex_;
  std::vector<std::unique_ptr<Lane>> owned_;
};

}  // namespace holdfast
