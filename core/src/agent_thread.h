// The thread that runs the agent: it sleeps in the fabric's wait on the serving endpoint, so that one-sided
// reads by others progress (over TCP somebody must drive the target), and costs nothing when idle.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "holdfast/base/result.h"
#include "src/agent.h"

namespace holdfast {

class AgentThread {
 public:
  /// `agent` outlives it. Errors: system (no thread).
  static Result<std::unique_ptr<AgentThread>> start(Agent& agent);
  ~AgentThread();  ///< says farewell; answers are handed to the network first, for a bounded time
  AgentThread(const AgentThread&) = delete;
  AgentThread& operator=(const AgentThread&) = delete;

 private:
  explicit AgentThread(Agent& agent) noexcept : agent_(agent) {}
  void serve();

  Agent& agent_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace holdfast
