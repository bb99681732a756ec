// What every implementation looks at before it begins a read.
#pragma once

#include <optional>
#include <string>

#include "holdfast/fabric/fabric.h"

namespace holdfast::fabric {

/// Why a request makes no sense, for people; nothing where it does.
std::optional<std::string> what_is_wrong(const ReadRequest& request, const FabricInfo& info);

}  // namespace holdfast::fabric
