// What others may read here, and what reads may write here.
#include <fmt/format.h>
#include <rdma/fi_errno.h>

#include "fabric/ofi/endpoint.h"
#include "fabric/ofi/errors.h"

namespace holdfast::fabric::ofi {

Result<RegionHandle> OfiEndpoint::register_memory(std::span<const std::byte> memory, std::uint64_t access,
                                                  std::string_view operation) {
  HOLDFAST_TRY(RegionHandle region, domain_->register_memory(memory, access, operation));
  if ((info_.domain_attr->mr_mode & FI_MR_ENDPOINT) != 0) {
    int rc = fi_mr_bind(region.get(), &endpoint_->fid, 0);
    if (rc != 0) return fail_ofi(rc, operation, "fi_mr_bind");
    rc = fi_mr_enable(region.get());
    if (rc != 0) return fail_registration(rc, operation, memory.size());
  }
  return region;
}

Result<std::shared_ptr<Region>> OfiEndpoint::region_of(std::span<const std::byte> memory,
                                                       std::uint64_t access, std::string_view operation) {
  if (Domain::is_shared(info_, described_)) return domain_->share(memory, operation);
  HOLDFAST_TRY(RegionHandle handle, register_memory(memory, access, operation));
  return std::make_shared<Region>(Region{std::move(handle), memory});
}

Result<RemoteMemory> OfiEndpoint::expose(std::span<const std::byte> memory) {
  constexpr std::string_view kOperation = "Endpoint::expose";
  if (memory.empty()) return fail(Code::invalid, kOperation, "there is nothing to expose in 0 bytes");
  HOLDFAST_TRY(std::shared_ptr<Region> region, region_of(memory, FI_REMOTE_READ, kOperation));
  RemoteMemory remote;
  remote.base = (info_.domain_attr->mr_mode & FI_MR_VIRT_ADDR) != 0
                    ? reinterpret_cast<std::uint64_t>(memory.data())
                    : 0;
  remote.key = fi_mr_key(region->handle.get());
  remote.bytes = memory.size();
  if (remote.key == FI_KEY_NOTAVAIL)
    return fail(Code::unsupported, kOperation, "the provider's keys are longer than 64 bits");
  exposed_.push_back(std::move(region));
  return remote;
}

Status OfiEndpoint::attach(std::span<std::byte> memory) {
  if (!described_.needs_attach || memory.empty()) return {};
  HOLDFAST_TRY(std::shared_ptr<Region> region, region_of(memory, FI_READ, "Endpoint::attach"));
  attached_.insert_or_assign(memory.data(), std::move(region));
  return {};
}

Result<void*> OfiEndpoint::descriptor_of(std::span<const std::byte> memory) const {
  if (!described_.needs_attach) return nullptr;
  auto region = attached_.upper_bound(memory.data());
  if (region != attached_.begin()) {
    --region;
    if (memory.data() + memory.size() <= region->first + region->second->memory.size())
      return fi_mr_desc(region->second->handle.get());
  }
  return fail(
      Code::invalid, "Endpoint::read",
      fmt::format("the destination ({} bytes) does not lie in memory given to attach()", memory.size()));
}

}  // namespace holdfast::fabric::ofi
