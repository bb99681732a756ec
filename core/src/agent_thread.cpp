#include "src/agent_thread.h"

#include <chrono>

#include "holdfast/base/thread.h"

namespace holdfast {
namespace {

// How long answers may take to leave when the member closes.
constexpr Duration kFlushTimeout = std::chrono::seconds(2);

}  // namespace

Result<std::unique_ptr<AgentThread>> AgentThread::start(Agent& agent) {
  std::unique_ptr<AgentThread> made(new AgentThread(agent));
  HOLDFAST_TRY(made->thread_, start_thread("hf-agent", [self = made.get()] { self->serve(); }));
  return made;
}

AgentThread::~AgentThread() {
  stopping_.store(true, std::memory_order_release);
  agent_.wake();
  if (thread_.joinable()) thread_.join();
}

void AgentThread::serve() {
  agent_.expose_rest();
  Channel& channel = agent_.channel();
  while (!stopping_.load(std::memory_order_acquire)) channel.drive(agent_.step(), Duration::zero());
  // What was handed to the agent before it was stopped is told, too.
  (void)agent_.step();
  agent_.say_farewell();
  const Deadline flushed = Deadline::after(channel.clock(), kFlushTimeout);
  while (channel.sends_in_flight() != 0 && !flushed.passed(channel.clock()))
    channel.drive(flushed, Duration::zero());
}

}  // namespace holdfast
