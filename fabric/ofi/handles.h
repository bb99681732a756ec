// Owners of libfabric objects: each closes its own when it goes.
#pragma once

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>

#include <memory>

namespace holdfast::fabric::ofi {

struct CloseFid {
  template <class Fid>
  void operator()(Fid* object) const noexcept {
    fi_close(&object->fid);
  }
};

struct FreeInfo {
  void operator()(fi_info* info) const noexcept { fi_freeinfo(info); }
};

using InfoHandle = std::unique_ptr<fi_info, FreeInfo>;
using FabricHandle = std::unique_ptr<fid_fabric, CloseFid>;
using DomainHandle = std::unique_ptr<fid_domain, CloseFid>;
using QueueHandle = std::unique_ptr<fid_cq, CloseFid>;
using AddressesHandle = std::unique_ptr<fid_av, CloseFid>;
using EndpointHandle = std::unique_ptr<fid_ep, CloseFid>;
using RegionHandle = std::unique_ptr<fid_mr, CloseFid>;

}  // namespace holdfast::fabric::ofi
