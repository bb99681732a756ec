#include "src/agent.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "holdfast/base/log.h"
#include "src/mutation.h"
#include "src/owned.h"

namespace holdfast {
namespace {

// While erased blocks are still pinned, how often somebody looks whether they are free. Nothing waits for it:
// an allocation that finds no room looks by itself.
constexpr Duration kCollectInterval = std::chrono::milliseconds(50);

// Of what a network takes at once, a part: the rest is for answers. And how soon what it refused comes again.
constexpr std::size_t kMostToldAtOnce = 16 * 1024;
constexpr Duration kTellInterval = std::chrono::milliseconds(1);

// How often operations that nobody waits for are looked after.
constexpr Duration kAbandonedInterval = std::chrono::milliseconds(1);

}  // namespace

Agent::Agent(Job& job, std::unique_ptr<Channel> channel, std::vector<RegionKey> regions)
    : job_(job),
      channel_(std::move(channel)),
      withdrawals_(job, *channel_),
      reporter_(job, *channel_, withdrawals_),
      regions_(std::move(regions)) {
  channel_->set_handler([this](const MessageHeader& message) { handle(message); });
  channel_->set_reply_watcher([this](const MessageHeader& reply) {
    if (is_of_a_member(reply)) reporter_.heard_from({reply.from});
  });
}

Agent::~Agent() {
  job_.references->set_wake(nullptr);
  // First of the members: what is under way ends here, and tells the reporter.
  channel_.reset();
}

void Agent::tell(Notice notice) {
  {
    const std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(std::move(notice));
  }
  channel_->wake();
}

void Agent::help(Lanes* lanes) {
  const std::lock_guard lock(lanes_mutex_);
  lanes_ = lanes;
}

void Agent::drive_lanes() {
  if (!lanes_abandoned_.exchange(true, std::memory_order_acq_rel)) channel_->wake();
}

bool Agent::move_abandoned() {
  if (!lanes_abandoned_.exchange(false, std::memory_order_acq_rel)) return false;
  const std::lock_guard lock(lanes_mutex_);
  if (lanes_ == nullptr || !lanes_->drive_abandoned()) return false;
  lanes_abandoned_.store(true, std::memory_order_release);
  return true;
}

void Agent::expose_rest() {
  for (std::size_t segment = regions_.size(); segment < job_.memory->arena().segments().size(); ++segment)
    if (const Status exposed = expose_segment(segment); !exposed) {
      log(LogLevel::error,
          fmt::format("members on other hosts cannot read this one: {}", exposed.error().message()));
      break;
    }
}

Deadline Agent::step() {
  {
    const std::lock_guard lock(inbox_mutex_);
    notices_.swap(inbox_);
  }
  for (const Notice& notice : notices_) send_notice(notice);
  notices_.clear();
  tell_some();

  Deadline until = Deadline::never();
  if (job_.holdings->awaits_unpin()) {
    job_.holdings->collect();
    if (job_.holdings->awaits_unpin()) until = Deadline::after(job_.clock, kCollectInterval);
  }
  until = std::min(until, reporter_.turn());
  withdrawals_.turn();
  if (!untold_.empty()) until = std::min(until, Deadline::after(job_.clock, kTellInterval));
  if (move_abandoned()) until = std::min(until, Deadline::after(job_.clock, kAbandonedInterval));
  sent_.store(channel_->messages_sent(), std::memory_order_relaxed);
  received_.store(channel_->messages_received(), std::memory_order_relaxed);
  return until;
}

Status Agent::expose_segment(std::size_t index) {
  const numa::Segment& segment = job_.memory->arena().segments()[index];
  HOLDFAST_TRY(const fabric::RemoteMemory memory, channel_->endpoint().expose({segment.base, segment.bytes}));
  regions_.push_back({segment.first, memory});
  return {};
}

void Agent::send_notice(const Notice& notice) {
  WireWriter body;
  put_status(body, notice.outcome ? Status{} : Status(tl::unexpected(notice.outcome.error())));
  if (notice.outcome) put_entry(body, *notice.outcome);
  const auto told = std::make_shared<const std::vector<std::byte>>(body.take());
  for (const Waiter& waiter : notice.waiters) untold_.push_back({waiter, told});
  tell_some();
}

/// As many as the network takes. Who is told no more waits until its deadline: what was refused comes again.
void Agent::tell_some() {
  if (tell_at_ && job_.clock.now() < *tell_at_) return;
  tell_at_.reset();
  while (!untold_.empty() && !tell_at_ && channel_->sends_in_flight() < kMostToldAtOnce) {
    Untold next = std::move(untold_.front());
    untold_.pop_front();
    auto telling = channel_->deliver_reply(next.waiter.reply_to, next.waiter.request, *next.body);
    spawn(std::move(telling), [this, next = std::move(next)](const Status& sent) mutable {
      if (sent || sent.error().code != Code::full) return;
      untold_.push_back(std::move(next));
      tell_at_ = job_.clock.now() + kTellInterval;
    });
  }
}

void Agent::refuse(const MessageHeader& message, const Error& error) {
  WireWriter body;
  put_status(body, tl::unexpected(error));
  channel_->reply(message, body.bytes());
}

/// What is counted is counted by rank: a later life of a member must not be taken for the one that is known.
bool Agent::is_of_a_member(const MessageHeader& message) const {
  return message.from < job_.peers->size() &&
         (message.from_incarnation == job_.peers->card({message.from}).incarnation ||
          HOLDFAST_MUTATION(accept_another_incarnation));
}

void Agent::handle(const MessageHeader& message) {
  if (message.type != MessageType::ping) served_.fetch_add(1, std::memory_order_relaxed);
  if (!is_of_a_member(message))
    return refuse(message, {Code::denied, "Agent",
                            fmt::format("rank {} was started again after the job had begun, and is no member "
                                        "of it any more; start the whole job again",
                                        message.from)});
  reporter_.heard_from({message.from});
  switch (message.type) {
    case MessageType::publish:
      return publish(message);
    case MessageType::unpublish:
      return unpublish(message);
    case MessageType::await_name:
    case MessageType::await_object:
    case MessageType::restore:
      return await(message);
    case MessageType::look:
      return look(message);
    case MessageType::give_up: {
      WireReader in(message.body);
      const Key key = get_key(in);
      const auto request = in.get<std::uint64_t>();
      if (in.ok())
        job_.holdings->give_up(key,
                               {{message.reply_to.begin(), message.reply_to.end()}, request, {message.from}});
      return;
    }
    case MessageType::erase:
      return erase(message);
    case MessageType::keys:
      return keys(message);
    case MessageType::arrive:
      return arrive(message);
    case MessageType::hold:
      return hold(message);
    case MessageType::report:
      return report(message);
    case MessageType::leave:
      (void)job_.holdings->member_lost({message.from}, *job_.peers);
      return;
    case MessageType::prefetch:
      return prefetch(message);
    case MessageType::parts:
      return parts(message);
    case MessageType::hurry:
      return reporter_.hurry();
    case MessageType::why:
      return why(message);
    case MessageType::used:
      return used(message);
    case MessageType::ping:
      return ping(message);
    case MessageType::reply:
      return;
  }
}

void Agent::publish(const MessageHeader& message) {
  WireReader in(message.body);
  const Key key = get_key(in);
  const Entry entry = get_entry(in);
  const bool sound = in.ok() && key.kind == Key::Kind::name && entry.owner.value == message.from &&
                     entry.owner.value < job_.peers->size() && BlockLayout::flags_valid(entry.layout.flags) &&
                     entry.layout.size <= kMaxPayloadBytes;
  if (!sound)
    return refuse(message, {Code::invalid, "Store::put", "the request to publish a name makes no sense"});
  auto published = job_.holdings->publish(key, entry);
  if (!published) return refuse(message, published.error());
  WireWriter body;
  put_status(body, {});
  channel_->reply(message, body.bytes());
  if (*published) send_notice(**published);
}

void Agent::unpublish(const MessageHeader& message) {
  WireReader in(message.body);
  const Key key = get_key(in);
  ObjectId id;
  id.high = in.get<std::uint64_t>();
  id.low = in.get<std::uint64_t>();
  if (!in.ok() || key.kind != Key::Kind::name)
    return refuse(message, {Code::invalid, "Store::erase", "the request to take a name out makes no sense"});
  const auto entry = job_.holdings->unpublish(key, id);
  if (!entry) return refuse(message, entry.error());
  WireWriter body;
  put_status(body, {});
  put_entry(body, *entry);
  channel_->reply(message, body.bytes());
}

void Agent::await(const MessageHeader& message) {
  WireReader in(message.body);
  const Key key = get_key(in);
  const Deadline until = get_deadline(in, job_.clock);
  const bool is_name = message.type == MessageType::await_name;
  if (!in.ok() || key.kind != (is_name ? Key::Kind::name : Key::Kind::object))
    return refuse(message, {Code::invalid, "Store::get", "the request to wait makes no sense"});
  const Waiter waiter{
      {message.reply_to.begin(), message.reply_to.end()}, message.request, {message.from}, until.time()};
  const ObjectId id{key.high, key.low};
  const auto entry = is_name                                ? job_.holdings->await_name(key, waiter)
                     : message.type == MessageType::restore ? job_.holdings->await_resident(id, waiter)
                                                            : job_.holdings->await_object(id, waiter);
  if (!entry) return refuse(message, entry.error());
  if (!*entry) return;  // it will be told
  WireWriter body;
  put_status(body, {});
  put_entry(body, **entry);
  channel_->reply(message, body.bytes());
}

void Agent::look(const MessageHeader& message) {
  WireReader in(message.body);
  const Key key = get_key(in);
  if (!in.ok()) return refuse(message, {Code::invalid, "Store::get", "the request to look makes no sense"});
  const auto entry = job_.holdings->look(key);
  if (!entry) return refuse(message, entry.error());
  WireWriter body;
  put_status(body, {});
  put_entry(body, *entry);
  channel_->reply(message, body.bytes());
}

void Agent::erase(const MessageHeader& message) {
  WireReader in(message.body);
  ObjectId id;
  id.high = in.get<std::uint64_t>();
  id.low = in.get<std::uint64_t>();
  if (!in.ok())
    return refuse(message, {Code::invalid, "Store::erase", "the request to erase makes no sense"});
  const auto name = erase_own(job_, *this, id);
  if (!name) return refuse(message, name.error());
  // Who asked has the name forgotten, too, and waits for that; but may have given up by now.
  if (*name) withdraw(**name, id);
  WireWriter body;
  put_status(body, {});
  body.put(static_cast<std::uint8_t>(*name ? 1 : 0));
  put_key(body, name->value_or(Key{}));
  channel_->reply(message, body.bytes());
}

void Agent::keys(const MessageHeader& message) {
  WireReader in(message.body);
  const auto offset = in.get<std::uint64_t>();
  for (const RegionKey& region : regions_) {
    if (!in.ok() || offset < region.first || offset - region.first >= region.memory.bytes) continue;
    WireWriter body;
    put_status(body, {});
    body.put(region.first);
    body.put(region.memory.base);
    body.put(region.memory.key);
    body.put(region.memory.bytes);
    return channel_->reply(message, body.bytes());
  }
  refuse(message,
         {Code::denied, "Store::get",
          "the owner could not expose its memory for remote reads; see its log, and holdfast doctor there"});
}

void Agent::parts(const MessageHeader& message) {
  WireReader in(message.body);
  const ObjectId id = get_id(in);
  const auto first = in.get<std::uint64_t>();
  if (!in.ok()) return refuse(message, {Code::invalid, "Store::parts", "the request makes no sense"});
  const auto entries = job_.holdings->parts_of(id);
  if (!entries) return refuse(message, entries.error());
  const auto rest = std::span(*entries).subspan(std::min<std::uint64_t>(first, entries->size()));
  const auto some = rest.first(std::min(rest.size(), kPartItems));
  WireWriter body;
  put_status(body, {});
  body.put(static_cast<std::uint64_t>(entries->size()));
  body.put(static_cast<std::uint32_t>(some.size()));
  for (const Entry& entry : some) put_entry(body, entry);
  channel_->reply(message, body.bytes());
}

void Agent::why(const MessageHeader& message) {
  WireReader in(message.body);
  const ObjectId id = get_id(in);
  if (!in.ok()) return refuse(message, {Code::invalid, "Store::why", "the request makes no sense"});
  WireWriter body;
  put_status(body, {});
  body.put_text(fitting(job_.holdings->why(id)));
  channel_->reply(message, body.bytes());
}

void Agent::used(const MessageHeader& message) {
  WireReader in(message.body);
  const auto count = in.get<std::uint32_t>();
  std::vector<std::uint64_t> objects;
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) objects.push_back(in.get<std::uint64_t>());
  if (in.ok()) job_.holdings->used(objects);
}

void Agent::prefetch(const MessageHeader& message) {
  WireReader in(message.body);
  const auto count = std::min<std::size_t>(in.get<std::uint32_t>(), kPrefetchItems);
  for (std::size_t i = 0; i < count; ++i) {
    const ObjectId id = get_id(in);
    if (!in.ok()) return;
    (void)job_.holdings->await_resident(id, {});  // what is not there any more is nobody's concern
  }
}

void Agent::hold(const MessageHeader& message) {
  WireReader in(message.body);
  const HoldRequest request = get_hold(in);
  if (!in.ok()) return refuse(message, {Code::invalid, "Store::redeem", "the request makes no sense"});
  Status held = check_layout(job_, request.id, request.layout);
  if (held) held = job_.holdings->hold({message.from}, request);
  if (!held) return refuse(message, held.error());
  WireWriter body;
  put_status(body, {});
  channel_->reply(message, body.bytes());
}

void Agent::ping(const MessageHeader& message) {
  if (message.body.empty()) return;
  WireReader in(message.body);
  const Duration unheard(std::max<std::int64_t>(0, in.get<std::int64_t>()));
  if (!in.ok()) return;
  // It counts from when it had the last word, not from now: the answers may all be lost on their way.
  job_.references->asked_for_us({message.from}, job_.clock.now() - unheard);
  WireWriter body;
  put_status(body, {});
  channel_->reply(message, body.bytes());
}

void Agent::report(const MessageHeader& message) {
  WireReader in(message.body);
  const ReferenceReport report = get_report(in);
  if (!in.ok()) return refuse(message, {Code::invalid, "References", "the report makes no sense"});
  const MemberId from{message.from};
  if (HOLDFAST_MUTATION(forget_guard_of_token))
    for (const auto& drop : report.drops) job_.holdings->drop(drop.id, from, drop.number);
  for (const auto& token : report.tokens) job_.holdings->add_token(token.id, {from, token.number});
  for (const auto& drop : report.drops) job_.holdings->drop(drop.id, from, drop.number);
  for (const auto& hold : report.undone) job_.holdings->undo_hold(hold.id, from, hold.number);
  WireWriter body;
  put_status(body, {});
  channel_->reply(message, body.bytes());
}

void Agent::arrive(const MessageHeader& message) {
  WireReader in(message.body);
  const auto number = in.get<std::uint64_t>();
  if (!in.ok()) return refuse(message, {Code::invalid, "Store::barrier", "the request makes no sense"});
  if (number < barriers_passed_) {  // it gave up before it heard, and comes again
    WireWriter body;
    put_status(body, {});
    return channel_->reply(message, body.bytes());
  }
  auto& arrived = barriers_[number];
  arrived[message.from] = {
      {message.reply_to.begin(), message.reply_to.end()}, message.request, {message.from}};
  if (arrived.size() < job_.peers->size()) return;
  WireWriter body;
  put_status(body, {});
  // This member's own answer goes last: once it has it, it may close, and the others' must have left.
  const std::uint32_t self = job_.peers->self().value;
  for (const auto& [rank, waiter] : arrived)
    if (rank != self) channel_->reply(waiter.reply_to, waiter.request, body.bytes());
  channel_->reply(arrived[self].reply_to, arrived[self].request, body.bytes());
  barriers_.erase(number);
  barriers_passed_ = number + 1;
}

}  // namespace holdfast
