// Which libfabric providers are here, and which of them to take.
#pragma once

#include <string>
#include <vector>

#include "fabric/ofi/handles.h"
#include "holdfast/fabric/ofi.h"

namespace holdfast::fabric::ofi {

/// One fi_info that fits, with what it means.
struct Choice {
  OfiCandidate candidate;
  InfoHandle info;  ///< null where nothing usable was offered
};

/// What an endpoint needs of libfabric, as hints for fi_getinfo; `provider` may be empty.
InfoHandle make_hints(const std::string& provider);

/// All candidates, best first: those that fit, then those that were passed over with the reason. The first
/// call of a process loads every provider libfabric has (0.2 s in 1.17; nothing makes it shorter).
std::vector<Choice> find_choices(const OfiOptions& options);

/// True where the machine shows RDMA devices, whether or not a provider can use them.
bool rdma_hardware_present();

/// The providers that are used, best first, for messages: "verbs;ofi_rxm, efa, ...".
std::string preferred_names();

/// "net (xnet) on eth0".
std::string name_of(const FabricInfo& info);

}  // namespace holdfast::fabric::ofi
