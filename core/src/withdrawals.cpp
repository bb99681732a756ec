#include "src/withdrawals.h"

#include <utility>

#include "src/insist.h"

namespace holdfast {

void Withdrawals::add_name(const Key& name, const ObjectId& id, Bound bound) {
  WireWriter body;
  put_key(body, name);
  put_id(body, id);
  add({job_.peers->home_of(name), MessageType::unpublish, body.take(), bound});
}

void Withdrawals::add_object(MemberId owner, const ObjectId& id) {
  WireWriter body;
  put_id(body, id);
  add({owner, MessageType::erase, body.take()});
}

void Withdrawals::add(Request request) {
  {
    const std::lock_guard lock(added_mutex_);
    added_.push_back(std::move(request));
    some_.store(true, std::memory_order_release);
  }
  channel_.wake();
}

void Withdrawals::turn() {
  if (!some_.load(std::memory_order_acquire)) return;
  std::vector<Request> added;
  {
    const std::lock_guard lock(added_mutex_);
    added.swap(added_);
    some_.store(false, std::memory_order_release);
  }
  for (Request& request : added) {
    const MemberId member = request.to;
    const auto [at, first] = untold_.try_emplace(member);
    if (request.bound == Bound::all || at->second.size() < kMostOfMember)
      at->second.push_back(std::move(request));
    if (first) spawn(tell(member), [] {});
  }
}

Task<void> Withdrawals::tell(MemberId member) {
  std::deque<Request>& requests = untold_.at(member);
  while (!requests.empty()) {
    const Request& request = requests.front();
    const References::Outcome outcome = co_await insist(job_, channel_, member, request.type, request.body);
    if (outcome == References::Outcome::unheard) co_return;
    if (outcome == References::Outcome::lost) break;  // what it kept has gone with it
    requests.pop_front();
  }
  untold_.erase(member);
}

}  // namespace holdfast
