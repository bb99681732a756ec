// LogGP: what takes how long, and who is busy until when.
#include <algorithm>

#include "fabric/sim/network_core.h"

namespace holdfast::sim {

LinkClass NetworkCore::link_class(HostId a, HostId b) const noexcept {
  if (a == b) return LinkClass::same_host;
  return hosts_[a.value].rack == hosts_[b.value].rack ? LinkClass::same_rack : LinkClass::across_racks;
}

const LinkCost& NetworkCore::cost(HostId a, HostId b) const noexcept {
  switch (link_class(a, b)) {
    case LinkClass::same_host:
      return options_.same_host;
    case LinkClass::same_rack:
      return options_.same_rack;
    case LinkClass::across_racks:
      break;
  }
  return options_.across_racks;
}

/// One way, jitter included.
Duration NetworkCore::delay(HostId a, HostId b) {
  const LinkCost& link = cost(a, b);
  Duration out = link.latency;
  if (link.jitter > Duration::zero()) out += jitter_.up_to(link.jitter);
  if (jitter_.one_in(link.straggler_one_in)) out += jitter_.up_to(link.straggle);
  return out;
}

/// The one that is free last of those that are free by then, so that no gap is wasted; else the first.
TimePoint& NetworkCore::free_core(Host& host, TimePoint wanted) {
  TimePoint* best = &host.cores_until.front();
  for (TimePoint& core : host.cores_until) {
    const bool better = *best <= wanted ? core <= wanted && core > *best : core < *best;
    if (better) best = &core;
  }
  return *best;
}

/// Has the thread compute for `time`, from `earliest` or when it and a core are free: when it is through.
TimePoint NetworkCore::occupy(SimEndpoint& thread, TimePoint earliest, Duration time) {
  Process& process = this->process(thread.process());
  const bool counted = options_.cores_per_host > 0;
  TimePoint& until = counted || options_.core_a_thread ? thread.computes_until : process.computes_until;
  const TimePoint wanted = std::max(earliest, until);
  if (!counted) return until = wanted + time;
  TimePoint& core = free_core(host(process.host), wanted);
  return core = until = std::max(wanted, core) + time;
}

/// When the thread is through with `work` that comes now.
TimePoint NetworkCore::compute(SimEndpoint& thread, Duration work) {
  return occupy(thread, timeline_.now(), work * process(thread.process()).slow);
}

/// When the thread has moved bytes that come or go from `first` to `last`: it does while they do, and is
/// through with the last one if it is fast enough and nothing hinders it.
TimePoint NetworkCore::move_bytes(SimEndpoint& thread, const LinkCost& link, std::uint64_t bytes,
                                  TimePoint first, TimePoint last) {
  const std::uint64_t rate = link.processor_bytes_per_second;
  if (rate == 0) return first;  // its NIC does, and knows how long that takes
  const Duration time = Duration(static_cast<Duration::rep>((bytes * 1'000'000'000 + rate - 1) / rate)) *
                        process(thread.process()).slow;
  return occupy(thread, std::max(first, last - time), time);
}

/// How long the sender's NIC takes for so many bytes in one go; rounded up.
Duration NetworkCore::byte_time(HostId sender, HostId receiver, std::uint64_t bytes) const {
  const std::uint64_t rate = cost(sender, receiver).bytes_per_second;
  // At most best_read_bytes, or a message: the product fits.
  const std::uint64_t ns = (bytes * 1'000'000'000 + rate - 1) / rate;
  return Duration(static_cast<Duration::rep>(ns)) * hosts_[sender.value].slow;
}

/// When the sender's NIC begins to send, at `earliest` or when it is free; keeps it busy from then.
TimePoint NetworkCore::inject(HostId sender, HostId receiver, TimePoint earliest, std::uint64_t bytes) {
  Host& from = hosts_[sender.value];
  TimePoint& until = sender == receiver ? from.loops_until : from.sends_until;
  const TimePoint start = std::max(earliest, until);
  const Duration gap = cost(sender, receiver).gap * from.slow;
  until = start + std::max(gap, byte_time(sender, receiver, bytes));
  if (sender == receiver) return start;
  from.nic.bytes_out += bytes;
  hosts_[receiver.value].nic.bytes_in += bytes;
  return cross_racks(sender, receiver, start, bytes);
}

/// When the bytes leave their rack, and the switches beyond have room for them: what waits there does not
/// keep the sender's NIC.
TimePoint NetworkCore::cross_racks(HostId sender, HostId receiver, TimePoint start, std::uint64_t bytes) {
  if (link_class(sender, receiver) != LinkClass::across_racks) return start;
  Uplink& out = uplinks_[hosts_[sender.value].rack];
  Uplink& in = uplinks_[hosts_[receiver.value].rack];
  out.carried.bytes_out += bytes;
  in.carried.bytes_in += bytes;
  const std::uint64_t rate = options_.rack_bytes_per_second;
  if (rate == 0) return start;
  const TimePoint through = std::max({start, out.sends_until, in.takes_in_until});
  const auto time = Duration(static_cast<Duration::rep>((bytes * 1'000'000'000 + rate - 1) / rate));
  out.sends_until = in.takes_in_until = through + time;
  return through;
}

/// When the receiver's NIC has all of what arrives with its last byte now: later, if others' bytes come at
/// the same time.
TimePoint NetworkCore::take_in(HostId sender, HostId receiver, std::uint64_t bytes) {
  const TimePoint now = timeline_.now();
  if (sender == receiver) return now;  // inject() has done the waiting
  Host& to = hosts_[receiver.value];
  const Duration unhindered = byte_time(sender, receiver, bytes);
  const Duration here = unhindered / hosts_[sender.value].slow * to.slow;
  to.takes_in_until = std::max(now, std::max(now - unhindered, to.takes_in_until) + here);
  return to.takes_in_until;
}

}  // namespace holdfast::sim
