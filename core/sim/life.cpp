#include "sim/life.h"

#include <fmt/format.h>

#include "holdfast/base/check.h"

namespace holdfast::sim {
namespace {

// As AgentThread does.
constexpr Duration kFlushTimeout = std::chrono::seconds(2);

// Of one event: each has moved something. More would never end.
constexpr int kMostRounds = 4'000'000;

}  // namespace

Life::Life(const Place& place, const LifeOptions& options)
    : place_(place), incarnations_(place.seed), job_{place.timeline.clock(), incarnations_} {
  job_.name = "simulated";
  job_.options.arena.bytes = options.arena_bytes;
  job_.options.arena.pages = {numa::Pages::base, numa::PagePolicy::Demand::prefer};
  job_.options.arena.prefault = numa::ArenaOptions::Prefault::none;
  job_.options.catalogue_entries = options.catalogue_entries;
  job_.options.pins = options.pins;
  job_.options.same_host = options.same_host;
  job_.options.verify = options.verify;
  checksum_ = options.checksum;
  job_.options.lifetime = options.lifetime;
  spill_options_ = options.spill;
  auto& directories = job_.options.lifetime.spill.directories;
  for (std::size_t disk = 0; disk < place.disks.size(); ++disk)
    directories.push_back(fmt::format("disk{}", disk));
}

Result<std::unique_ptr<Life>> Life::begin(const Place& place, const LifeOptions& options) {
  std::unique_ptr<Life> life(new Life(place, options));
  Job& job = life->job_;
  const std::uint64_t incarnation = job.random.next();
  job.references = std::make_shared<References>(place.rank, sure_to_be_held(job.options.lifetime));
  HOLDFAST_TRY(job.memory,
               LocalMemory::create(place.topology, job.options.arena, job.options.pins, place.members));
  job.memory->close_descriptors();  // thousands of members would need more than a process may have
  const CatalogueGeometry geometry = CatalogueGeometry::for_entries(options.catalogue_entries);
  HOLDFAST_TRY(life->catalogue_, Holdings::allocate_catalogue(*job.memory, geometry));
  job.neighbours = std::make_unique<HostNeighbours>(place.hosts, place.process, incarnation, job.memory);

  fabric::Fabric& fabric = place.network.fabric(place.process);
  job.fabric_info = fabric.info();
  HOLDFAST_TRY(life->serving_, fabric.open({.receive_depth = 256}));
  Card& card = life->card_;
  for (const numa::Segment& segment : job.memory->arena().segments()) {
    HOLDFAST_TRY(const fabric::RemoteMemory memory, life->serving_->expose({segment.base, segment.bytes}));
    card.keys.push_back({segment.first, memory});
  }
  card.provider = job.fabric_info.provider;
  card.protocol = job.fabric_info.protocol;
  const std::uint32_t host = place.network.host_of(place.process).value;
  card.host = card.host_name = fmt::format("host{}", host);
  card.pid = place.process.value;
  card.incarnation = incarnation;
  card.spills = !place.disks.empty();
  card.address = life->serving_->address();
  card.arena_bytes = job.memory->arena().bytes();
  card.catalogue_at = life->catalogue_.location;
  card.catalogue = geometry;
  return life;
}

Status Life::join(std::shared_ptr<const std::vector<Card>> cards) {
  HOLDFAST_DO(job_.join(place_.rank, std::move(cards), catalogue_));
  const Sender sender{place_.rank.value, card_.incarnation};
  agent_ = std::make_unique<Agent>(job_, std::make_unique<Channel>(std::move(serving_), job_.clock, sender),
                                   card_.keys);
  HOLDFAST_TRY(auto endpoint, place_.network.fabric(place_.process).open({}));
  channel_ = std::make_unique<Channel>(std::move(endpoint), job_.clock, sender);
  application_ = std::make_unique<Application>(job_, *agent_, *channel_, checksum_);
  place_.network.set_on_ready(agent_->channel().endpoint(), [this] { run_agent(); });
  place_.network.set_on_ready(channel_->endpoint(), [this] { run_application(); });
  if (!place_.disks.empty())
    spiller_ = std::make_unique<TimelineSpiller>(
        TimelineSpiller::Parts{place_.timeline, *job_.holdings, place_.disks,
                               fmt::format("{:x}", card_.incarnation),
                               [this](Notice notice) { agent_->tell(std::move(notice)); },
                               [this] { return !place_.network.stopped(place_.process); }},
        spill_options_);
  return {};
}

Life::~Life() {
  channel_.reset();  // before the application, which what ends here still uses
  application_.reset();
  spiller_.reset();
  agent_.reset();
  job_.references->close();
}

void Life::run_agent() {
  Channel& channel = agent_->channel();
  for (int round = 0;; ++round) {
    HOLDFAST_CHECK(round < kMostRounds, "an agent goes on for ever at one virtual time");
    const Deadline due = std::min(agent_->step(), leaving_ ? flushed_ : Deadline::never());
    const Deadline timer = channel.next_timer();
    // Inside an event this does not block: it sees to it that this is called again.
    const std::size_t moved = channel.drive(due, Duration::zero());
    if (leaving_ && (channel.sends_in_flight() == 0 || flushed_.passed(job_.clock))) {
      const auto then = std::move(leaving_);
      return then();
    }
    if (moved == 0 && channel.next_timer() == timer && !due.passed(job_.clock)) return;
  }
}

void Life::run_application() {
  for (int round = 0;; ++round) {
    HOLDFAST_CHECK(round < kMostRounds, "a program goes on for ever at one virtual time");
    const Deadline timer = channel_->next_timer();
    const std::size_t moved = channel_->drive(Deadline::never(), Duration::zero());
    if (moved == 0 && channel_->next_timer() == timer) return;
  }
}

void Life::leave(std::function<void()> then) {
  channel_.reset();
  spiller_.reset();
  (void)agent_->step();
  agent_->say_farewell();
  flushed_ = Deadline::after(job_.clock, kFlushTimeout);
  leaving_ = std::move(then);
  agent_->wake();
}

}  // namespace holdfast::sim
