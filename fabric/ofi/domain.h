// A libfabric domain, and what is registered with its device.
//
// Providers that pin registered memory (verbs, efa) get one for all endpoints of a fabric, so that an arena
// is pinned once, however many threads read into it; elsewhere each endpoint has its own, and nobody else's
// locks.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "fabric/ofi/handles.h"
#include "holdfast/base/result.h"
#include "holdfast/fabric/fabric.h"

namespace holdfast::fabric::ofi {

/// Memory that others read and that reads may fill.
struct Region {
  RegionHandle handle;
  std::span<const std::byte> memory;
};

class Domain {
 public:
  /// `fabric` and `info` outlive it. Errors: as of libfabric.
  static Result<std::shared_ptr<Domain>> open(fid_fabric& fabric, const fi_info& info,
                                              const FabricInfo& described);

  /// True where the endpoints of a fabric are to have one together.
  static bool is_shared(const fi_info& info, const FabricInfo& described) noexcept;

  fid_domain* get() const noexcept { return domain_.get(); }
  fid_fabric& fabric() const noexcept { return fabric_; }

  /// Registers memory, for whoever asks only. Any thread where the domain is shared.
  Result<RegionHandle> register_memory(std::span<const std::byte> memory, std::uint64_t access,
                                       std::string_view operation) const;
  /// The region of exactly this memory: the one that others have, or a new one; whoever comes meanwhile
  /// waits. Any thread.
  Result<std::shared_ptr<Region>> share(std::span<const std::byte> memory, std::string_view operation);

 private:
  Domain(fid_fabric& fabric, DomainHandle domain, const fi_info& info)
      : fabric_(fabric), domain_(std::move(domain)), info_(info) {}

  fid_fabric& fabric_;
  DomainHandle domain_;
  const fi_info& info_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<Region>> regions_;
};

}  // namespace holdfast::fabric::ofi
