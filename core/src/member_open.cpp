// Joining a job and leaving it.
#include <fmt/format.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>

#include "holdfast/base/log.h"
#include "holdfast/base/random.h"
#include "holdfast/fabric/ofi.h"
#include "holdfast/version.h"
#include "src/fallbacks.h"
#include "src/member.h"
#include "src/socket_neighbours.h"
#include "src/uring_disk.h"

namespace holdfast {
namespace {

constexpr std::string_view kOperation = "Store::open";

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  if (gethostname(name, sizeof name - 1) != 0) return "unknown host";
  return name;
}

Status check_options(const StoreOptions& options) {
  const auto bad = [](std::string text) { return fail(Code::invalid, kOperation, std::move(text)); };
  if (options.reading_endpoints < 1 || options.reading_endpoints > 256)
    return bad("StoreOptions::reading_endpoints must be 1 to 256");
  if (options.pins < 64 || options.pins > 1U << 24) return bad("StoreOptions::pins must be 64 to 2^24");
  if (options.catalogue_entries > 1ULL << 32)
    return bad("StoreOptions::catalogue_entries must be at most 2^32");
  if (options.lifetime.token_lifetime < std::chrono::milliseconds(1) ||
      options.lifetime.token_lifetime > std::chrono::hours(24 * 30))
    return bad("LifetimeOptions::token_lifetime must be 1 ms to 30 days");
  if (options.lifetime.member_timeout < Duration::zero() ||
      options.lifetime.member_timeout > std::chrono::hours(24))
    return bad("LifetimeOptions::member_timeout (HOLDFAST_MEMBER_TIMEOUT) must be 0 to 1 day");
  if (options.lifetime.spill.above_percent < 1 || options.lifetime.spill.above_percent > 95)
    return bad("SpillPolicy::above_percent (HOLDFAST_SPILL_ABOVE) must be 1 to 95");
  return {};
}

CatalogueGeometry geometry_for(const StoreOptions& options) {
  constexpr std::uint64_t kBytesAnEntry = 16 * 1024, kLeastEntries = 4096;
  const std::uint64_t entries = options.catalogue_entries != 0
                                    ? options.catalogue_entries
                                    : std::max(kLeastEntries, options.arena.bytes / kBytesAnEntry);
  return CatalogueGeometry::for_entries(entries);
}

/// What was not got as it was asked for, or as it should be, is never silent: on each host the first member
/// of those that have the same to say says it.
void report_fallbacks(const Job& job) {
  const MemberId self = job.peers->self();
  bool first = true;
  for (std::uint32_t rank = 0; rank < self.value; ++rank) first = first && !job.peers->shares_host({rank});
  if (!job.fabric_info.rdma && job.options.provider.empty() && job.peers->size() > 1)
    log(first ? LogLevel::warning : LogLevel::info,
        fmt::format("other hosts are reached over TCP by {} on {}: {}; `holdfast doctor` tells more",
                    job.fabric_info.provider, job.fabric_info.domain, job.fabric_info.reason));
  const std::vector<numa::SegmentReport> segments = job.memory->arena().report();
  const std::uint32_t members = speaks_for(*job.peers, fallbacks_of(segments));
  const std::string others =
      members > 1 ? fmt::format(" (the same for {} more ranks of this host)", members - 1) : std::string();
  for (const numa::SegmentReport& segment : segments)
    log(segment.note.empty()                ? LogLevel::debug
        : fell_back(segment) && members > 0 ? LogLevel::warning
                                            : LogLevel::info,
        fmt::format("node {}: {} on {} pages{}{}{}{}", segment.asked.value, format_bytes(segment.bytes),
                    to_string(segment.pages), segment.bound ? "" : ", not bound to the node",
                    fell_back(segment) ? others : "", segment.note.empty() ? "" : ": ", segment.note));
}

}  // namespace

Member::Member(const Clock& clock, const StoreOptions& options) : job_{clock, system_random()} {
  job_.options = options;
}

Member::~Member() {
  if (!closed()) (void)close();
}

Result<std::shared_ptr<Member>> Member::open(const StoreOptions& options) {
  HOLDFAST_DO(check_options(options));
  HOLDFAST_TRY(const Environment environment, Environment::read());
  if (const auto level = environment.get(Variable::log)) {
    const auto parsed = parse_log_level(*level);
    if (!parsed)
      return fail(Code::invalid, kOperation, fmt::format("HOLDFAST_LOG: {}", parsed.error().detail));
    set_log_level(*parsed);
  }
  std::shared_ptr<Member> member(new Member(real_clock(), options));
  const Deadline deadline = Deadline::after(member->job_.clock, options.open_timeout);
  HOLDFAST_TRY(member->launch_, fabric::Launch::find(environment));
  HOLDFAST_DO(member->join(*member->launch_, deadline));
  return member;
}

Status Member::join(fabric::Launch& launch, Deadline deadline) {
  const fabric::Identity& identity = launch.identity();
  if (identity.size > kMostMembers)
    return fail(Code::invalid, kOperation, fmt::format("a job has at most {} members", kMostMembers));
  set_log_prefix(fmt::format("rank {}", identity.rank));
  const std::uint64_t incarnation = job_.random.next();
  job_.name = identity.job;
  job_.references =
      std::make_shared<References>(MemberId{identity.rank}, sure_to_be_held(job_.options.lifetime));
  job_.references->set_member(weak_from_this());

  std::vector<std::unique_ptr<Disk>> disks;
  if (!job_.options.lifetime.spill.directories.empty()) {
    HOLDFAST_TRY(disks, UringDisk::open(job_.options.lifetime.spill.directories));
  }
  HOLDFAST_TRY(const numa::Topology topology, numa::Topology::discover());
  HOLDFAST_TRY(job_.memory,
               LocalMemory::create(topology, job_.options.arena, job_.options.pins, identity.size));
  const CatalogueGeometry geometry = geometry_for(job_.options);
  HOLDFAST_TRY(const Block catalogue, Holdings::allocate_catalogue(*job_.memory, geometry));
  HOLDFAST_TRY(auto neighbours, SocketNeighbours::start({identity.job, MemberId{identity.rank}, incarnation},
                                                        job_.memory->arena(), job_.memory->ledger()));
  SocketNeighbours& sockets = *neighbours;
  job_.neighbours = std::move(neighbours);

  HOLDFAST_TRY(fabric_, fabric::open_ofi(
                            {.provider = job_.options.provider,
                             .interface = job_.options.interface,
                             .memory = job_.memory->arena().bytes(),
                             .most_endpoints = job_.options.reading_endpoints + 1},  // and the serving one
                            job_.clock));
  job_.fabric_info = fabric_->info();
  HOLDFAST_TRY(auto endpoint, fabric_->open({.receive_depth = 256}));
  std::vector<RegionKey> regions;
  if (job_.fabric_info.exposes_lazily)
    for (const numa::Segment& segment : job_.memory->arena().segments()) {
      HOLDFAST_TRY(const fabric::RemoteMemory memory, endpoint->expose({segment.base, segment.bytes}));
      regions.push_back({segment.first, memory});
    }

  Card card;
  card.version = version();
  card.provider = job_.fabric_info.provider;
  card.protocol = job_.fabric_info.protocol;
  card.host = this_host();
  card.host_name = host_name();
  card.pid = static_cast<std::uint32_t>(getpid());
  card.incarnation = incarnation;
  card.address = endpoint->address();
  card.host_socket = sockets.socket_name();
  card.spills = !job_.options.lifetime.spill.directories.empty();
  card.fallbacks = fallbacks_of(job_.memory->arena().report());
  card.arena_bytes = job_.memory->arena().bytes();
  card.catalogue_at = catalogue.location;
  card.catalogue = geometry;
  card.keys = regions;
  HOLDFAST_TRY(const std::vector<std::string> texts, launch.exchange(card.encode(), deadline));
  std::vector<Card> cards;
  for (std::size_t rank = 0; rank < texts.size(); ++rank) {
    auto decoded = Card::decode(texts[rank]);
    if (!decoded) {
      Error error = std::move(decoded).error();
      error.detail = fmt::format("rank {}: {}", rank, error.detail);
      return tl::unexpected(std::move(error));
    }
    cards.push_back(std::move(*decoded));
  }
  HOLDFAST_DO(check_cards(cards));
  HOLDFAST_DO(start(identity, std::move(endpoint), std::move(regions), catalogue, std::move(cards)));
  sockets.set_answerer([this](const ObjectId& id) { return job_.holdings->why(id); });
  return start_spilling(std::move(disks));
}

Status Member::start_spilling(std::vector<std::unique_ptr<Disk>> disks) {
  if (disks.empty()) return {};
  SpillOptions options;
  // A member with little memory does not take much of a disk at once.
  options.segment_bytes =
      std::clamp(job_.memory->arena().bytes() / 4, options.transfer_bytes * 4, options.segment_bytes);
  for (MemberId before{0}; before.value < job_.peers->self().value; ++before.value)
    if (job_.peers->shares_host(before)) ++options.first_directory;
  HOLDFAST_TRY(spill_,
               SpillThread::start(
                   job_.clock, *job_.holdings, [this](Notice notice) { agent_->tell(std::move(notice)); },
                   std::move(disks), options));
  return {};
}

Status Member::start(const fabric::Identity& identity, std::unique_ptr<fabric::Endpoint> endpoint,
                     std::vector<RegionKey> regions, const Block& catalogue, std::vector<Card> cards) {
  const MemberId self{identity.rank};
  const std::uint64_t incarnation = cards[identity.rank].incarnation;
  HOLDFAST_DO(job_.join(self, std::make_shared<const std::vector<Card>>(std::move(cards)), catalogue));
  std::vector<std::span<std::byte>> memory;
  for (const numa::Segment& segment : job_.memory->arena().segments())
    memory.emplace_back(segment.base, segment.bytes);

  const Sender sender{self.value, incarnation};
  lanes_ = std::make_unique<Lanes>(*fabric_, job_.clock, sender, job_.options.reading_endpoints,
                                   std::move(memory));
  agent_ = std::make_unique<Agent>(job_, std::make_unique<Channel>(std::move(endpoint), job_.clock, sender),
                                   std::move(regions));
  agent_->help(lanes_.get());
  HOLDFAST_TRY(agent_thread_, AgentThread::start(*agent_));
  job_.memory->start_prefault();  // last: what the libraries above map would wait for it
  report_fallbacks(job_);
  log(LogLevel::info, fmt::format("joined job {} as rank {} of {} ({}): {} over {} ({})", identity.job,
                                  identity.rank, identity.size, identity.launcher, job_.fabric_info.provider,
                                  job_.fabric_info.domain, job_.fabric_info.reason));
  return {};
}

Status Member::close() {
  if (closed_.exchange(true, std::memory_order_acq_rel))
    return fail(Code::invalid, "Store::close", "the store is closed already");
  if (job_.memory) job_.memory->stop_prefault();  // first: what is unmapped below would wait for it
  // From the top down: what waits on lanes ends first; then nobody serves; then neighbours see the hang-up.
  if (agent_) agent_->help(nullptr);
  lanes_.reset();
  spill_.reset();  // it tells waiters through the agent
  agent_thread_.reset();
  agent_.reset();
  if (job_.references) job_.references->close();
  job_.neighbours.reset();
  fabric_.reset();
  launch_.reset();
  return {};
}

Stats Member::stats() {
  Stats stats;
  const Holdings::Counts counts = job_.holdings->counts();
  stats.objects = counts.objects;
  stats.object_bytes = counts.object_bytes;
  stats.names = counts.names;
  stats.blocks_awaiting_unpin = counts.awaiting_unpin;
  stats.erases = counts.erases;
  stats.waiters = counts.waiters;
  stats.collected = counts.collected;
  stats.collected_bytes = counts.collected_bytes;
  stats.evictions = counts.evictions;
  stats.evicted_bytes = counts.evicted_bytes;
  stats.cached = counts.cached;
  stats.cached_bytes = counts.cached_bytes;
  stats.held_elsewhere = counts.held_elsewhere;
  stats.on_disk = counts.on_disk;
  stats.on_disk_bytes = counts.on_disk_bytes;
  stats.spilling = counts.spilling;
  stats.spilling_bytes = counts.spilling_bytes;
  stats.spills = counts.spills;
  stats.spilled_bytes = counts.spilled_bytes;
  stats.restores = counts.restores;
  stats.restored_bytes = counts.restored_bytes;
  stats.moved = counts.moved;
  stats.moved_bytes = counts.moved_bytes;
  stats.thrashing = counts.thrashing;
  stats.puts_waiting = counts.puts_waiting;
  stats.puts_waited = counts.puts_waited;
  stats.put_waits = counts.put_waits;
  stats.spill_times = counts.spill_times;
  stats.restore_times = counts.restore_times;
  stats.remote_gets = job_.remote_gets.read();
  if (spill_) stats.spill_directories = spill_->stats().directories;
  stats.placed_elsewhere = job_.memory->placed_elsewhere();
  const Counters& counters = job_.counters;
  stats.puts = counters.sum(Count::puts);
  stats.put_bytes = counters.sum(Count::put_bytes);
  stats.gets_local = counters.sum(Count::gets_local);
  stats.gets_shared = counters.sum(Count::gets_shared);
  stats.gets_remote = counters.sum(Count::gets_remote);
  stats.gets_from_disk = counters.sum(Count::gets_from_disk);
  stats.get_bytes_local = counters.sum(Count::get_bytes_local);
  stats.get_bytes_shared = counters.sum(Count::get_bytes_shared);
  stats.get_bytes_remote = counters.sum(Count::get_bytes_remote);
  stats.remote_reads = counters.sum(Count::remote_reads);
  stats.remote_stale = counters.sum(Count::remote_stale);
  stats.remote_torn = counters.sum(Count::remote_torn);
  stats.corrupt = counters.sum(Count::corrupt);
  stats.reference_messages = counters.sum(Count::reference_messages);
  stats.provider = job_.fabric_info.provider;
  stats.provider_reason = job_.fabric_info.reason;
  lanes_->for_each([&](Lane& lane) {
    std::uint64_t sent = 0, received = 0;
    stats.quarantined += lane.stats(sent, received).quarantined;
    stats.messages_sent += sent;
    stats.messages_received += received;
  });
  stats.messages_sent += agent_->messages_sent();
  stats.messages_received += agent_->messages_received();
  stats.requests_served = agent_->requests_served();
  stats.members_lost = job_.neighbours->lost();
  const auto report = job_.memory->arena().report();
  for (std::size_t i = 0; i < report.size(); ++i) {
    const numa::AllocatorStats allocator = job_.memory->allocator_stats(i);
    const Holdings::Counts::Segment& segment = counts.segments[i];
    stats.nodes.push_back({report[i], allocator.bytes_used, allocator.bytes_total - allocator.bytes_used,
                           allocator.largest_free, segment.objects, segment.kept, segment.cached,
                           segment.spilling, segment.pinned, segment.evictions, segment.spills,
                           segment.restores});
  }
  return stats;
}

}  // namespace holdfast
