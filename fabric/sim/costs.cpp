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

/// When the process's processor is through with `overhead` of work that comes now.
TimePoint NetworkCore::compute(Process& process, Duration overhead) {
  process.computes_until = std::max(timeline_.now(), process.computes_until) + overhead * process.slow;
  return process.computes_until;
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
  return start;
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
