// A simulated job for tests that drive it by hand, one call at a time.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include "sim/cluster.h"
#include "src/peers.h"

namespace holdfast::sim {

class ClusterRig {
 public:
  explicit ClusterRig(const ClusterOptions& options) {
    auto started = Cluster::start(1, options);
    if (!started) {
      ADD_FAILURE() << started.error().message();
      std::abort();
    }
    cluster_ = std::move(*started);
  }

  Cluster& cluster() { return *cluster_; }
  Timeline& timeline() { return cluster_->timeline(); }
  Application& app(std::uint32_t rank) { return cluster_->life({rank})->application(); }
  Job& job(std::uint32_t rank) { return cluster_->life({rank})->job(); }
  std::uint64_t names(std::uint32_t rank) { return job(rank).holdings->counts().names; }

  /// Begins a task of `rank`; its value is there when virtual time has come so far.
  template <class T>
  std::shared_ptr<std::optional<T>> begin(std::uint32_t rank, Task<T> task) {
    auto value = std::make_shared<std::optional<T>>();
    spawn(std::move(task), [value](T ended) { value->emplace(std::move(ended)); });
    cluster_->life({rank})->nudge();
    return value;
  }

  /// Runs virtual time until `condition()`.
  template <class Condition>
  void run_until(Condition condition) {
    for (int steps = 0; !condition(); ++steps) {
      if (timeline().step() && steps < 1'000'000) continue;
      ADD_FAILURE() << "it never comes";
      std::abort();
    }
  }

  template <class T>
  T finish(std::uint32_t rank, Task<T> task) {
    const auto value = begin(rank, std::move(task));
    run_until([&] { return value->has_value(); });
    return std::move(**value);
  }

  /// A name whose home is `home`: the first such, or another.
  Key name_at(std::uint32_t home, std::uint32_t which = 0) {
    for (std::uint32_t n = 0;; ++n) {
      const Key key = key_of(name("name", n)).value();
      if (job(0).peers->home_of(key) == MemberId{home} && which-- == 0) return key;
    }
  }

 private:
  std::unique_ptr<Cluster> cluster_;
};

}  // namespace holdfast::sim
