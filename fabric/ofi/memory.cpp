// What others may read here, and what reads may write here.
#include <fmt/format.h>
#include <rdma/fi_errno.h>

#include "fabric/ofi/endpoint.h"
#include "fabric/ofi/errors.h"
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

Result<RegionHandle> OfiEndpoint::register_memory(std::span<const std::byte> memory, std::uint64_t access,
                                                  std::string_view operation) {
  fid_mr* raw = nullptr;
  int rc = -FI_ENOKEY;
  for (int attempt = 0; attempt < kKeyAttempts && rc == -FI_ENOKEY; ++attempt)
    rc = fi_mr_reg(domain_.get(), memory.data(), memory.size(), access, 0, random_key(info_), 0, &raw,
                   nullptr);
  if (rc != 0) return fail_registration(rc, operation, memory.size());
  RegionHandle region(raw);
  if ((info_.domain_attr->mr_mode & FI_MR_ENDPOINT) != 0) {
    rc = fi_mr_bind(raw, &endpoint_->fid, 0);
    if (rc != 0) return fail_ofi(rc, operation, "fi_mr_bind");
    rc = fi_mr_enable(raw);
    if (rc != 0) return fail_registration(rc, operation, memory.size());
  }
  return region;
}

Result<RemoteMemory> OfiEndpoint::expose(std::span<const std::byte> memory) {
  constexpr std::string_view kOperation = "Endpoint::expose";
  if (memory.empty()) return fail(Code::invalid, kOperation, "there is nothing to expose in 0 bytes");
  HOLDFAST_TRY(RegionHandle region, register_memory(memory, FI_REMOTE_READ, kOperation));
  RemoteMemory remote;
  remote.base = (info_.domain_attr->mr_mode & FI_MR_VIRT_ADDR) != 0
                    ? reinterpret_cast<std::uint64_t>(memory.data())
                    : 0;
  remote.key = fi_mr_key(region.get());
  remote.bytes = memory.size();
  if (remote.key == FI_KEY_NOTAVAIL)
    return fail(Code::unsupported, kOperation, "the provider's keys are longer than 64 bits");
  exposed_.push_back(std::move(region));
  return remote;
}

Status OfiEndpoint::attach(std::span<std::byte> memory) {
  if (!described_.needs_attach || memory.empty()) return {};
  HOLDFAST_TRY(RegionHandle region, register_memory(memory, FI_READ, "Endpoint::attach"));
  attached_.insert_or_assign(memory.data(), Attached{memory.size(), std::move(region)});
  return {};
}

Result<void*> OfiEndpoint::descriptor_of(std::span<const std::byte> memory) const {
  if (!described_.needs_attach) return nullptr;
  auto region = attached_.upper_bound(memory.data());
  if (region != attached_.begin()) {
    --region;
    if (memory.data() + memory.size() <= region->first + region->second.bytes)
      return fi_mr_desc(region->second.region.get());
  }
  return fail(
      Code::invalid, "Endpoint::read",
      fmt::format("the destination ({} bytes) does not lie in memory given to attach()", memory.size()));
}

}  // namespace holdfast::fabric::ofi
