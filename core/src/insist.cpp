#include "src/insist.h"

#include <algorithm>
#include <chrono>

namespace holdfast {
namespace {

// How long a member may take to answer; then it is told again.
constexpr Duration kAnswerTimeout = std::chrono::seconds(10);
// Before a request is repeated to one that cannot be reached, doubled each time.
constexpr Duration kFirstPause = std::chrono::milliseconds(10);
constexpr Duration kLongestPause = std::chrono::seconds(30);

}  // namespace

Task<References::Outcome> insist(Job& job, Channel& channel, MemberId member, MessageType type,
                                 std::vector<std::byte> body, unsigned tries) {
  const Receiver receiver = job.peers->receiver(member);
  Duration pause = kFirstPause;
  for (unsigned tried = 1;; ++tried) {
    auto reply = co_await channel.call(receiver, type, body, Deadline::after(job.clock, kAnswerTimeout));
    if (reply || reply.error().code == Code::not_found) co_return References::Outcome::heard;
    if (channel.closing()) co_return References::Outcome::unheard;
    if (channel.is_replaced(receiver) || tried == tries) co_return References::Outcome::lost;
    co_await channel.sleep(job.clock.now() + pause);
    if (channel.closing()) co_return References::Outcome::unheard;
    pause = std::min(2 * pause, kLongestPause);
  }
}

}  // namespace holdfast
