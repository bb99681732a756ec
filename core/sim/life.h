// One life of a simulated member: the production code of a member, with a simulated network beneath and a
// simulated process around it. No thread: its endpoints call it when they have something to do.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "holdfast/fabric/sim/network.h"
#include "holdfast/numa/topology.h"
#include "sim/application.h"
#include "sim/hosts.h"
#include "sim/timeline_spiller.h"
#include "src/agent.h"
#include "src/channel.h"
#include "src/job.h"

namespace holdfast::sim {

struct LifeOptions {
  std::uint64_t arena_bytes = 256 * 1024;
  std::uint64_t catalogue_entries = 256;
  std::uint32_t pins = 256;  ///< that it may hold at once
  SameHost same_host = SameHost::fabric;
  Verify verify = Verify::always;
  PutOptions::Checksum checksum = PutOptions::Checksum::on;  ///< of what it puts
  LifetimeOptions lifetime;  ///< its directories to spill to are the disks of the place, if there are any
  SpillOptions spill{256 * 1024, 64 * 1024, 256 * 1024};  ///< small, as the arena is
};

class Life {
 public:
  struct Place {
    Timeline& timeline;
    Network& network;
    Hosts& hosts;
    const numa::Topology& topology;
    ProcessId process;
    MemberId rank;
    std::uint32_t members = 0;
    std::uint64_t seed = 0;                        ///< of what this life draws
    std::span<const std::unique_ptr<Disk>> disks;  ///< of this member; none: it cannot spill
  };

  /// Has memory and an address, and knows nobody yet. What `place` refers to outlives it. Errors: as
  /// LocalMemory::create and Holdings::allocate_catalogue.
  static Result<std::unique_ptr<Life>> begin(const Place& place, const LifeOptions& options);
  /// The end of the process, from outside of its own code: what is under way ends first, with timed_out.
  ~Life();
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  const Card& card() const noexcept { return card_; }
  /// Becomes a member of the job; `cards` by rank. Errors: as Job::join.
  Status join(std::shared_ptr<const std::vector<Card>> cards);

  /// After join().
  Application& application() noexcept { return *application_; }
  Job& job() noexcept { return job_; }
  /// What the application waits with: its thread, to the network.
  fabric::Endpoint& application_endpoint() noexcept { return channel_->endpoint(); }
  /// To be called after operations have been started from outside: their timers are noticed.
  void nudge() { channel_->wake(); }
  /// After the process was stopped, and runs again.
  void resumed() {
    if (spiller_) spiller_->wake();
  }
  /// nullptr without disks, and when it leaves.
  TimelineSpiller* spiller() noexcept { return spiller_.get(); }

  /// Closes as a store does: operations end with timed_out, the others hear of it. `then` is called when all
  /// answers have left, or after 2 s; it may destroy this.
  void leave(std::function<void()> then);
  bool leaving() const noexcept { return leaving_ != nullptr; }

  std::uint64_t reference_bytes_received() const {
    return agent_->channel().reference_bytes_received() + channel_->reference_bytes_received();
  }
  std::size_t calls_under_way() const { return channel_ ? channel_->calls() : 0; }
  std::size_t withdrawals_untold(MemberId to) const { return agent_->withdrawals().untold(to); }
  std::uint64_t quarantined() const { return channel_ ? channel_->endpoint().stats().quarantined : 0; }

 private:
  class Incarnations final : public RandomSource {
   public:
    explicit Incarnations(std::uint64_t seed) : random_(seed) {}
    std::uint64_t next() noexcept override {
      for (;;)
        if (const std::uint64_t drawn = random_.next()) return drawn;
    }

   private:
    Random random_;
  };

  Life(const Place& place, const LifeOptions& options);
  void run_agent();
  void run_application();

  Place place_;
  Incarnations incarnations_;
  Job job_;
  PutOptions::Checksum checksum_;
  SpillOptions spill_options_;
  Block catalogue_;
  Card card_;
  std::unique_ptr<fabric::Endpoint> serving_;  ///< until the agent has it
  std::unique_ptr<Agent> agent_;
  std::unique_ptr<TimelineSpiller> spiller_;  ///< goes before the agent, through which it tells waiters
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<Application> application_;
  std::function<void()> leaving_;
  Deadline flushed_ = Deadline::never();
};

}  // namespace holdfast::sim
