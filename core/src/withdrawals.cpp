#include "src/withdrawals.h"

#include "src/insist.h"

namespace holdfast {

void Withdrawals::add(const Key& name, const ObjectId& id) {
  {
    const std::lock_guard lock(added_mutex_);
    added_.push_back({name, id});
    some_.store(true, std::memory_order_release);
  }
  channel_.wake();
}

void Withdrawals::turn() {
  if (!some_.load(std::memory_order_acquire)) return;
  std::vector<Name> added;
  {
    const std::lock_guard lock(added_mutex_);
    added.swap(added_);
    some_.store(false, std::memory_order_release);
  }
  for (const Name& name : added) {
    const MemberId home = job_.peers->home_of(name.key);
    const auto [at, first] = untold_.try_emplace(home);
    if (at->second.size() < kMostOfHome) at->second.push_back(name);
    if (first) spawn(tell(home), [] {});
  }
}

Task<void> Withdrawals::tell(MemberId home) {
  std::deque<Name>& names = untold_.at(home);
  while (!names.empty()) {
    WireWriter body;
    put_key(body, names.front().key);
    put_id(body, names.front().id);
    const References::Outcome outcome =
        co_await insist(job_, channel_, home, MessageType::unpublish, body.take());
    if (outcome == References::Outcome::unheard) co_return;
    if (outcome == References::Outcome::lost) break;  // its names have gone with it
    names.pop_front();
  }
  untold_.erase(home);
}

}  // namespace holdfast
