#include "sim/cluster.h"

#include <algorithm>

#include "holdfast/base/check.h"

namespace holdfast::sim {
namespace {

constexpr std::uint64_t kLifeStream = 1000;  // of the timeline's randomness; those of the network are lower
constexpr std::uint32_t kFirstDisk = 1'000'000;  // disks' numbers, beyond those of lives
constexpr std::uint32_t kMostDisks = 8;

/// A host's disks as one of its members sees them: one that is as fast as its even share.
DiskOptions share_of(std::uint32_t disks, std::uint32_t members, DiskOptions each) noexcept {
  for (std::uint64_t* rate : {&each.read_bytes_per_second, &each.write_bytes_per_second})
    *rate = std::max<std::uint64_t>(1, *rate * disks / members);
  return each;
}

}  // namespace

Cluster::Cluster(std::uint64_t seed, const ClusterOptions& options, const numa::Topology& topology)
    : options_(options),
      topology_(topology),
      timeline_(seed),
      network_(timeline_, options.network),
      hosts_(network_) {}

Cluster::~Cluster() = default;

Result<std::unique_ptr<Life>> Cluster::begin(MemberId member) {
  Member& it = members_[member.value];
  const std::uint64_t seed = timeline_.random(kLifeStream + member.value).next() + it.lives;
  ++it.lives;
  return Life::begin({timeline_, network_, hosts_, topology_, it.process, member, size(), seed, it.disks},
                     options_.life);
}

Result<std::unique_ptr<Cluster>> Cluster::start(std::uint64_t seed, const ClusterOptions& options) {
  static const auto one_node = numa::Topology::from_synthetic("numa:1 core:1 pu:1");
  const auto machine = options.topology.empty() ? one_node : numa::Topology::from_synthetic(options.topology);
  if (!machine) return tl::unexpected(machine.error());
  std::unique_ptr<Cluster> cluster(new Cluster(seed, options, *machine));
  HOLDFAST_CHECK(options.disks <= kMostDisks, "ClusterOptions::disks is at most 8");
  cluster->members_.resize(options.members);
  auto cards = std::make_shared<std::vector<Card>>();
  HostId host;
  for (std::uint32_t rank = 0; rank < options.members; ++rank) {
    if (rank % options.members_per_host == 0) host = cluster->add_host(rank / options.members_per_host);
    Member& member = cluster->members_[rank];
    member.process = cluster->network_.start(host);
    cluster->add_disks(rank);
    HOLDFAST_TRY(member.life, cluster->begin({rank}));
    cards->push_back(member.life->card());
  }
  HOLDFAST_DO(check_cards(*cards));
  cluster->cards_ = cards;
  for (Member& member : cluster->members_) HOLDFAST_DO(member.life->join(cluster->cards_));
  return cluster;
}

HostId Cluster::add_host(std::uint32_t number) {
  return network_.add_host(options_.racks.empty() ? number / options_.hosts_per_rack
                                                  : options_.racks.at(number));
}

void Cluster::add_disks(std::uint32_t rank) {
  std::uint32_t disks = options_.disks;
  DiskOptions each = options_.disk;
  if (options_.host_disks > 0) {
    const std::uint32_t first = rank - rank % options_.members_per_host;
    const std::uint32_t members = std::min(options_.members_per_host, size() - first);
    disks = 1;
    each = share_of(options_.host_disks, members, each);
  }
  for (std::uint32_t disk = 0; disk < disks; ++disk)
    members_[rank].disks.push_back(
        std::make_unique<Disk>(timeline_, kFirstDisk + rank * kMostDisks + disk, each));
}

Life* Cluster::running(MemberId member) {
  Life* const it = life(member);
  return it == nullptr || it->leaving() || network_.stopped(process(member)) ? nullptr : it;
}

void Cluster::stop(MemberId member) {
  Member& it = members_[member.value];
  network_.stop(it.process);
  for (const auto& disk : it.disks) disk->pause();
}

void Cluster::resume(MemberId member) {
  Member& it = members_[member.value];
  network_.resume(it.process);
  for (const auto& disk : it.disks) disk->resume();
  if (it.life) it.life->resumed();
  hosts_.gone_on(host(member));
}

void Cluster::crash(MemberId member) {
  Member& it = members_[member.value];
  if (!it.life) return;
  network_.crash(it.process);
  it.life.reset();
  for (const auto& disk : it.disks) disk->resume();
}

void Cluster::leave(MemberId member) {
  Life* const it = running(member);
  if (it == nullptr) return;
  // Not from inside its own code.
  it->leave([this, member, life = lives(member)] {
    timeline_.after(Duration::zero(), [this, member, life] {
      if (lives(member) == life) crash(member);
    });
  });
}

void Cluster::restart(MemberId member) {
  Member& it = members_[member.value];
  if (it.life) return;
  if (network_.crashed(it.process)) network_.restart(it.process);
  auto life = begin(member);
  HOLDFAST_CHECK(life.has_value(), "a life begins as the one before did");
  it.life = std::move(*life);
  auto cards = std::make_shared<std::vector<Card>>(*cards_);
  (*cards)[member.value] = it.life->card();
  cards_ = std::move(cards);
  HOLDFAST_CHECK(it.life->join(cards_).has_value(), "a life joins as the one before did");
}

}  // namespace holdfast::sim
