#include "tests/sim/player_parts.h"

namespace holdfast::sim::test {

std::uint64_t capacity_of(const Scenario& scenario) {
  return scenario.disk_kib == 0 ? DiskOptions().capacity : std::uint64_t{scenario.disk_kib} * 1024;
}

ClusterOptions options_of(const Scenario& scenario) {
  ClusterOptions options;
  options.members = scenario.members;
  options.members_per_host = scenario.members_per_host;
  options.life.arena_bytes = std::uint64_t{scenario.arena_kib} * 1024 * scenario.nodes;
  if (scenario.nodes != 1) options.topology = fmt::format("numa:{} core:1 pu:1", scenario.nodes);
  options.life.same_host = scenario.share_memory ? SameHost::memory : SameHost::fabric;
  options.life.verify = scenario.verify_all ? Verify::always : Verify::never;
  options.life.checksum = scenario.checksums ? PutOptions::Checksum::on : PutOptions::Checksum::off;
  options.life.lifetime.collect = scenario.eager ? Collect::eager : Collect::lazy;
  options.life.lifetime.eviction = scenario.s3_fifo ? Eviction::s3_fifo : Eviction::lru;
  options.life.lifetime.token_lifetime = std::chrono::milliseconds(scenario.token_ms);
  options.life.lifetime.member_timeout = std::chrono::milliseconds(scenario.member_timeout_ms);
  options.disks = scenario.disks;
  options.life.lifetime.spill.above_percent = scenario.spill_above;
  options.disk.latency = options.disk.jitter = std::chrono::microseconds(scenario.disk_latency_us);
  options.disk.write_bytes_per_second = options.disk.read_bytes_per_second =
      std::uint64_t{scenario.disk_mb_per_s} * 1'000'000;
  options.disk.capacity = capacity_of(scenario);
  NetworkOptions& network = options.network;
  network.one_sided_needs_target = scenario.needs_target;
  network.scatter_pieces = scenario.scatter;
  network.max_gather = scenario.gather;
  network.piece_bytes = scenario.piece_bytes;
  network.detection_time = std::chrono::milliseconds(scenario.detection_ms);
  for (LinkCost* const link : {&network.same_host, &network.same_rack, &network.across_racks}) {
    link->jitter = std::chrono::microseconds(scenario.jitter_us);
    link->straggler_one_in = scenario.straggler_one_in;
    link->straggle = std::chrono::microseconds(scenario.straggle_us);
  }
  // Slow enough that an owner can free and write again what is being read.
  network.same_rack.bytes_per_second = network.across_racks.bytes_per_second = 500'000'000;
  return options;
}

namespace {

std::span<std::byte> payload_of(const DraftState& draft) {
  return {draft.block.address + draft.layout.payload_offset(), draft.layout.size};
}

}  // namespace

void Player::act(const Step& step) {
  switch (step.act) {
    case Act::put:
    case Act::draft:
    case Act::put_parts:
      return make(step);
    case Act::seal:
    case Act::abandon:
      return seal(step);
    case Act::get_name:
    case Act::lookup:
    case Act::erase_name:
      return act_by_name(step);
    case Act::call_off:
      return call_off(step);
    case Act::barrier:
      return arrive({step.member});
    case Act::crash:
    case Act::leave:
    case Act::restart:
    case Act::stop:
    case Act::resume:
    case Act::slow:
    case Act::slow_host:
    case Act::cut:
    case Act::heal:
    case Act::break_link:
    case Act::power_loss:
    case Act::power_back:
    case Act::full_queues:
      return fault(step);
    case Act::disk_slow:
    case Act::disk_fail:
    case Act::disk_full:
    case Act::disk_damage:
    case Act::disk_mend:
      return disk_fault(step);
    default:
      return act_by_handle(step);
  }
}

void Player::make(const Step& step) {
  const MemberId member{step.member};
  if (!runs(member) || making_.contains(step.object)) return;
  std::vector<Handle> parts;
  if (step.act == Act::put_parts) {
    const auto part = hands_[step.member].held.find(step.other);
    if (part == hands_[step.member].held.end()) return;
    parts.push_back(part->second.handle);
  }
  making_.insert(step.object);
  const Duration time = timeout();
  Operation operation = begin(member, Act::draft, step.object, 0, time);
  operation.bytes = step.amount;
  const numa::NodeId node{step.object % scenario_.nodes};
  run(Act::draft, operation, app(member).draft(step.amount, std::move(parts), node, time),
      [this, step](const Operation& ended, Result<std::unique_ptr<DraftState>>& draft) {
        if (draft) return made(step, std::move(*draft));
        oracle_.not_made(ended, draft.error());
      });
}

void Player::made(const Step& step, std::unique_ptr<DraftState> draft) {
  const MemberId member{step.member};
  // Its bytes come at the end: what is given away before is seen.
  std::ranges::fill(payload_of(*draft), std::byte{0xee});
  Oracle::Object& object = oracle_.made(
      step.object,
      {member, cluster_->lives(member), draft->id, step.amount, Oracle::State::drafting, 0, {}, {}, {}});
  if (step.act == Act::put_parts) object.parts.push_back(step.other);
  auto& hands = hands_[step.member];
  if (step.act == Act::draft) take(member, step.object, app(member).promise(*draft));
  hands.drafts[step.object] = std::move(draft);
  if (step.act == Act::draft) return;
  seal(step.act == Act::put ? step : Step{step.at_us, step.member, Act::put, step.object, 0, step.amount});
}

void Player::seal(const Step& step) {
  const MemberId member{step.member};
  auto& drafts = hands_[step.member].drafts;
  const auto found = drafts.find(step.object);
  if (!runs(member) || found == drafts.end()) return;
  auto draft = std::move(found->second);
  drafts.erase(found);
  Oracle::Object& object = *oracle_.find(step.object);
  object.decided_from = timeline().now();
  if (step.act == Act::abandon) {
    object.state = Oracle::State::abandoned;
    return app(member).abandon(std::move(draft));
  }
  std::ranges::copy(pattern(step.object, object.bytes), payload_of(*draft).begin());
  object.state = Oracle::State::sealing;
  const std::uint32_t name = step.other;
  const Duration time = timeout();
  const Operation operation = begin(member, step.act, step.object, name, time);
  if (name != 0) oracle_.naming(name, step.object);
  run(step.act, operation,
      app(member).seal(std::move(draft), name != 0 ? std::optional(key_of_name(name)) : std::nullopt, time),
      [this, step, name](const Operation& ended, Result<Handle>& handle) {
        oracle_.sealed(ended, step.object, name, handle);
        if (handle) take({step.member}, step.object, std::move(*handle));
      });
}

void Player::act_by_handle(const Step& step) {
  const auto by = bearer(step);
  if (!by) return;
  const MemberId member = by->member;
  const Handle handle = by->held->handle;  // kept until the operation has ended, as a caller does
  const Entry entry = handle.entry;
  const Duration time = timeout();
  Operation operation = begin(member, step.act, step.object, 0, time);
  operation.held_since = by->held->since;
  const std::uint32_t object = step.object;
  std::optional<ByteRange> range;
  switch (step.act) {
    case Act::get_range: {
      const std::uint64_t offset = step.amount % (entry.layout.size + 1);
      range = ByteRange{offset, (step.amount >> 20) % (entry.layout.size - offset + 1)};
      [[fallthrough]];
    }
    case Act::get:
    case Act::pin:
      return run(step.act, operation, app(member).get(entry, range, GetOptions::Missing::wait, time),
                 [this, step, range, handle](const Operation& ended, Result<Pin>& pin) {
                   oracle_.got(ended, step.object, pin, range);
                   if (!pin || step.act != Act::pin) return;
                   // Looked at again when it goes: it must stay as it is.
                   const std::uint64_t number = next_pin_++;
                   const Duration held_for = std::chrono::microseconds(step.amount);
                   oracle_.pinned(ended.member, step.object, held_for);
                   const std::uint64_t use = next_operation_++;
                   oracle_.begun(use, ended);
                   oracle_.let_go(use, timeline().now() + held_for);
                   hands_[ended.member.value].pins[number] = std::move(*pin);
                   timeline().after(held_for, [this, ended, step, number] {
                     auto held = hands_[ended.member.value].pins.extract(number);
                     if (held.empty()) return;
                     oracle_.got(ended, step.object, Result<Pin>(std::move(held.mapped())), {});
                   });
                 });
    case Act::get_into: {
      auto into = std::make_shared<std::vector<std::byte>>(entry.layout.size);
      return run(step.act, operation, app(member).get_into(entry, *into, time),
                 [this, object, into, handle](const Operation& ended, const Result<std::uint64_t>& bytes) {
                   oracle_.copied(ended, object, bytes, *into);
                 });
    }
    case Act::get_many:
      return get_many(member, entry);
    case Act::wait:
      return run(step.act, operation, app(member).wait(entry, time),
                 [this, object, handle](const Operation& ended, const Result<Entry>& found) {
                   oracle_.waited(ended, object, found);
                 });
    case Act::parts:
      return run(step.act, operation, app(member).parts(entry, time),
                 [this, object, handle](const Operation& ended, Result<std::vector<Handle>>& parts) {
                   oracle_.got_parts(ended, object, parts);
                   if (!parts) return;
                   for (Handle& part : *parts)
                     if (const auto number = oracle_.number_of(part.entry.id))
                       take(ended.member, *number, std::move(part));
                 });
    case Act::prefetch:
      app(member).prefetch(entry);
      return nudge(member);
    case Act::pass:
      return pass(member, *by->held, object, {step.other % cluster_->size()}, step.amount);
    case Act::drop:
      hands_[member.value].held.erase(object);
      return;
    case Act::erase:
      oracle_.erasing(object);
      return run(step.act, operation, app(member).erase(entry, time),
                 [this, object](const Operation& ended, const Status& status) {
                   oracle_.erased(ended, object, status);
                 });
    default:
      return;
  }
}

void Player::get_many(MemberId member, const Entry& like) {
  std::vector<Entry> entries;
  std::vector<std::uint32_t> objects;
  std::vector<Handle> handles;
  TimePoint held_since = timeline().now();
  for (const auto& [object, held] : hands_[member.value].held) {
    const auto& [handle, since] = held;
    if (handle.entry.owner != like.owner) continue;
    held_since = std::min(held_since, since);
    entries.push_back(handle.entry);
    objects.push_back(object);
    handles.push_back(handle);
  }
  const Duration time = timeout();
  Operation operation = begin(member, Act::get_many, objects.front(), 0, time);
  for (const Entry& entry : entries) operation.bytes += entry.layout.size;
  operation.held_since = held_since;
  operation.blocks = static_cast<std::uint32_t>(entries.size());
  oracle_.many_begun(member, like.owner);
  const std::uint64_t number = next_operation_++;
  under_way_.emplace(number, operation);
  oracle_.begun(number, operation);
  spawn(
      app(member).get_many(std::move(entries), time),
      [this, operation, number, objects, handles, owner = like.owner](const std::vector<Result<Pin>>& pins) {
        under_way_.erase(number);
        if (std::ranges::all_of(pins, [](const auto& pin) { return pin.has_value(); }))
          oracle_.let_go(number, timeline().now());
        oracle_.many_ended(operation.member, owner);
        oracle_.counted(operation, pins.size(), objects.size());
        for (std::size_t i = 0; i < std::min(pins.size(), objects.size()); ++i)
          if (end(operation, Act::get_many, code_of(pins[i])))
            oracle_.got(operation, objects[i], pins[i], {});
      });
  nudge(member);
}

void Player::pass(MemberId from, const Held& held, std::uint32_t object, MemberId to, std::uint64_t onward) {
  const PassedToken token = app(from).token(held.handle);
  const Oracle::Token known{object, from, timeline().now(), held.since};
  // Faster than its report, or slower; rarely too late.
  const Duration longest[] = {10us, 1ms, 8ms, std::chrono::milliseconds(scenario_.token_ms) * 2};
  timeline().after(random_.up_to(longest[random_.below(std::size(longest))]),
                   [this, token, known, to, onward] { redeem(token, known, to, onward); });
}

void Player::redeem(PassedToken token, Oracle::Token known, MemberId to, std::uint64_t onward) {
  if (!runs(to)) return;
  const Duration time = timeout();
  const Operation operation = begin(to, Act::pass, known.object, 0, time);
  run(Act::pass, operation, app(to).redeem(token, time),
      [this, known, to, onward](const Operation& ended, Result<Handle>& handle) {
        oracle_.redeemed(ended, known, handle);
        if (!handle) return;
        take(to, known.object, std::move(*handle));
        if (onward == 0 || !runs(to) || is_over_) return;
        // A chain, or a ring: some keep it, some only hand it on.
        const MemberId next{(to.value + 1 + known.object % 3) % cluster_->size()};
        pass(to, hands_[to.value].held[known.object], known.object, next, onward - 1);
        if (known.object % 2 == 0) hands_[to.value].held.erase(known.object);
      });
}

void Player::act_by_name(const Step& step) {
  const MemberId member{step.member};
  if (!runs(member)) return;
  const std::uint32_t name = step.other;
  const Duration time = timeout();
  const bool waits = step.amount != 0;
  const auto missing = waits ? GetOptions::Missing::wait : GetOptions::Missing::fail;
  const Operation operation = begin(member, step.act, 0, name, time);
  if (step.act == Act::get_name)
    return run(step.act, operation, app(member).get(key_of_name(name), {}, missing, time),
               [this, name, waits](const Operation& ended, const Result<Pin>& pin) {
                 oracle_.got_by_name(ended, name, waits, pin);
               });
  if (step.act == Act::lookup)
    return run(step.act, operation, app(member).lookup(key_of_name(name), missing, time),
               [this, name, waits](const Operation& ended, Result<Handle>& handle) {
                 oracle_.looked_up(ended, name, waits, handle);
                 if (!handle) return;
                 if (const auto object = oracle_.number_of(handle->entry.id))
                   take(ended.member, *object, std::move(*handle));
               });
  const std::uint64_t erasure = oracle_.erasing_name(name);
  run(step.act, operation, app(member).erase(key_of_name(name), time),
      [this, erasure](const Operation& ended, const Status& status) {
        oracle_.erased_name(ended, erasure, status);
      });
}

/// A get that waits, of an object or by name, and is not wanted any more after a while.
void Player::call_off(const Step& step) {
  const auto by = step.other == 0 ? bearer(step) : std::optional(Bearer{{step.member}, nullptr});
  if (!by || !runs(by->member)) return;
  const MemberId member = by->member;
  const auto cancellation = std::make_shared<Cancellation>();
  const Duration time = timeout(), after = std::chrono::microseconds(step.amount);
  const std::uint32_t object = step.other == 0 ? step.object : 0, name = step.other;
  Operation operation = begin(member, Act::call_off, object, name, time);
  operation.called_off = timeline().now() + after;
  Handle handle;
  if (by->held != nullptr) {
    handle = by->held->handle;
    operation.held_since = by->held->since;
  }
  const Target target = name == 0 ? Target(handle.entry) : Target(key_of_name(name));
  run(Act::call_off, operation, app(member).get(target, cancellation, time),
      [this, object, name, handle, cancellation](const Operation& ended, const Result<Pin>& pin) {
        if (name == 0) return oracle_.got(ended, object, pin, {});
        oracle_.got_by_name(ended, name, true, pin);
      });
  timeline().after(after, [this, cancellation, member, life = cluster_->lives(member)] {
    if (!runs(member) || cluster_->lives(member) != life) return;
    cancellation->request();
    nudge(member);
  });
}

void Player::arrive(MemberId member) {
  if (!runs(member)) return;
  if (!arriving_.insert({member.value, cluster_->lives(member)}).second) return;
  const Duration time = timeout();
  const Operation operation = begin(member, Act::barrier, 0, 0, time);
  const std::uint64_t number = app(member).barriers();
  oracle_.arrives(operation, number);
  run(Act::barrier, operation, app(member).barrier(time),
      [this, number](const Operation& ended, const Status& status) {
        arriving_.erase({ended.member.value, ended.life});
        oracle_.passed(ended, number, status);
      });
}

Played play(const Scenario& scenario) { return Player(scenario).play(); }

}  // namespace holdfast::sim::test
