#include "fabric/ofi/domain.h"

#include <rdma/fi_errno.h>

#include "fabric/ofi/errors.h"
#include "fabric/ofi/locked_memory.h"
#include "holdfast/base/random.h"

namespace holdfast::fabric::ofi {
namespace {

/// A random key taken already is as good as impossible with 64 bits, and seldom with 32.
constexpr int kKeyAttempts = 8;

std::uint64_t random_key(const fi_info& info) {
  const std::size_t bytes = info.domain_attr->mr_key_size;
  const std::uint64_t key = random_u64();
  return bytes >= sizeof(key) ? key : key & ((std::uint64_t{1} << (8 * bytes)) - 1);
}

}  // namespace

Result<std::shared_ptr<Domain>> Domain::open(fid_fabric& fabric, const fi_info& info,
                                             const FabricInfo& described) {
  fid_domain* domain = nullptr;
  if (const int rc = fi_domain(&fabric, const_cast<fi_info*>(&info), &domain, nullptr); rc != 0)
    return fail_opening(rc, "Fabric::open", "fi_domain", described);
  return std::shared_ptr<Domain>(new Domain(fabric, DomainHandle(domain), info));
}

bool Domain::is_shared(const fi_info& info, const FabricInfo& described) noexcept {
  // Regions that are bound to an endpoint (cxi) are of no use to another.
  return pins_memory(described) && (info.domain_attr->mr_mode & FI_MR_ENDPOINT) == 0;
}

Result<RegionHandle> Domain::register_memory(std::span<const std::byte> memory, std::uint64_t access,
                                             std::string_view operation) const {
  fid_mr* raw = nullptr;
  int rc = -FI_ENOKEY;
  for (int attempt = 0; attempt < kKeyAttempts && rc == -FI_ENOKEY; ++attempt)
    rc = fi_mr_reg(domain_.get(), memory.data(), memory.size(), access, 0, random_key(info_), 0, &raw,
                   nullptr);
  if (rc != 0) return fail_registration(rc, operation, memory.size());
  return RegionHandle(raw);
}

Result<std::shared_ptr<Region>> Domain::share(std::span<const std::byte> memory, std::string_view operation) {
  const std::lock_guard lock(mutex_);
  std::erase_if(regions_, [](const auto& region) { return region.expired(); });
  for (const auto& weak : regions_)
    if (auto region = weak.lock();
        region && region->memory.data() == memory.data() && region->memory.size() == memory.size())
      return region;
  // Whoever comes first may want only the one or the other.
  HOLDFAST_TRY(RegionHandle handle, register_memory(memory, FI_READ | FI_REMOTE_READ, operation));
  auto region = std::make_shared<Region>(Region{std::move(handle), memory});
  regions_.push_back(region);
  return region;
}

}  // namespace holdfast::fabric::ofi
